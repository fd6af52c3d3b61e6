"""What settings are made from: environment variables as they come, and types that check values.

Reads nothing when it is imported. `settings.py` alone decides which settings there are.
"""
