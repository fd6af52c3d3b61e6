"""Records that are not valid ticks: written, counted, read and replayed."""
