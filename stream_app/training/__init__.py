"""One training job, the process and pool it runs in, and the cycle that retrains all symbols. Knows no Kafka."""
