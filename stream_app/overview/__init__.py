"""What all workers do: a read model of the topics, for the dashboard and for `stream-app top`.

It only reads: it joins no group and commits nothing.
"""
