"""Runs the worker's code over a file, without Kafka: windows, measurements."""
