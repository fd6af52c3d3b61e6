"""One worker process: batches in from Kafka, answers out to Kafka.

With `agents` and `sharing` the only room that depends on Faust. Prices are processed in
`prediction`, not here.
"""
