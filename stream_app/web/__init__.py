"""What a worker shows over HTTP: health, status and metrics. Changes nothing."""
