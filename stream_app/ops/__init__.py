"""What operators need from a process: its metrics, and the watchdog that ends it.

Imports no other room.
"""
