"""What settings are made from: variables as they come, types that check values, refusals.

Reads nothing when it is imported. `settings.py` alone decides which settings there are.
"""
