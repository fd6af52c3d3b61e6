"""The sources and the sender of `stream-app feed`: files of prices and synthetic ticks."""
