"""Model versions on disk: a folder for each symbol, each version written whole or not at all.

Knows no Kafka and no clock.
"""
