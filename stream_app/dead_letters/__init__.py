"""Records that are no valid tick: written, counted, read again and sent again."""
