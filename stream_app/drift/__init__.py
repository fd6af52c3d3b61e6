"""Detects changes in a symbol's behaviour, from its scores, in a separate process."""
