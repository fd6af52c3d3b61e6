"""What operators see of a process: its metrics, and the watchdog that ends it.

Imports nothing of this program.
"""
