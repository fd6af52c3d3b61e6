"""What all workers do, in a browser: a read model of the topics, and the page that shows it.

A process of its own, which only reads. It joins no group and commits nothing.
"""
