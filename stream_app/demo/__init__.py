"""`stream-app demo`: broker, feed and worker on one machine, with a live view."""
