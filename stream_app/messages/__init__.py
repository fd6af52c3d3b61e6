"""The messages on the topics: their types, and the checks of everything that comes in."""
