"""One worker process: batches in from Kafka, answers out to Kafka, state back from the log.

With `agents` the only room that knows Faust. Prices are worked on in `prediction`, not here.
"""
