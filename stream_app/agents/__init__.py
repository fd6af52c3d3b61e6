"""Faust agents and timers: thin shells that decode nothing and decide nothing."""
