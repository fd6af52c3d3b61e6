"""Restores a partition's state from the bars topic: at once, or continuously for a standby."""
