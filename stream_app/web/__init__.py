"""What a worker shows over HTTP: health, status and metrics. Reads only."""
