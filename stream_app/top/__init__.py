"""What all workers do, in a terminal: `stream-app top`, which is the demo's live view too."""
