"""Model versions on disk and on an object store behind it, each written completely or not at all.

Does not depend on Kafka.
"""
