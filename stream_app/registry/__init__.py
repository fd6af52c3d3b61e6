"""Model versions on disk and on an object store behind it, each written whole or not at all.

Knows no Kafka.
"""
