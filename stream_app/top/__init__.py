"""`stream-app top`: the read model in a terminal, and the demo's live view."""
