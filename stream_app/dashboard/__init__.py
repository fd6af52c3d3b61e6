"""What all workers do, in a browser: the page that shows the read model, live."""
