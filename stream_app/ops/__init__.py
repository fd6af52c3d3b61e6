"""What operators see of a process: its metrics, and the watchdog that ends it.

Imports no other room.
"""
