"""The parts that settings are made of: raw variables, types that check values, error lines.

Reads nothing when it is imported. `settings.py` alone decides which settings there are.
"""
