"""The messages on the topics: their types, and the validation of all input."""
