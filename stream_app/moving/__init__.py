"""Moves symbols with their state to their new partition after partitions were added."""
