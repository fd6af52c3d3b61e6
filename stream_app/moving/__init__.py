"""Symbols that belong to another partition since partitions were added: where to, and with what."""
