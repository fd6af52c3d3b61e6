"""A read model of the topics, with all workers, for the dashboard and `stream-app top`.

It only reads: it joins no group and commits nothing.
"""
