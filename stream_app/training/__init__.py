"""One training job, the processes it runs in, and the cycle that retrains every symbol.

It does not import Kafka, so a job runs the same way offline.
"""
