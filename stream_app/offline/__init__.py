"""The worker's own code over a file, without Kafka: windows, measurements."""
