"""`stream-app demo`: everything at once on one machine, to see it work."""
