"""One module for each sub-command of `stream-app`; each is thin."""
