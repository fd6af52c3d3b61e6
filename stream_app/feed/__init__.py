"""What `stream-app feed` reads, makes and sends: files of prices and synthetic ticks."""
