"""A worker's HTTP endpoints: health, status and metrics. Changes nothing."""
