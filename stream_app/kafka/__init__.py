"""Connecting, reading, producing; topics.yaml and the broker's topics. Knows nothing of prices."""
