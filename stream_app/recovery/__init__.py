"""A partition's state, brought back from the bars topic: at once, or followed as it comes."""
