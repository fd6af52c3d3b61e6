"""Price ticks in, four-model ensemble predictions out, every model retrained every hour."""
