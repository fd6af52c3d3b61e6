"""The dashboard: a page that shows the read model in a browser, live."""
