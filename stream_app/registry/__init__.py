"""The model versions on disk: a folder of versions for each symbol, each written whole or not at all. Knows no Kafka."""
