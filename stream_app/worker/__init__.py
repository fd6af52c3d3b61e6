"""One worker process: batches in from Kafka, answers out to Kafka.

With `agents` and `sharing` the only room that knows Faust. Prices are worked on in
`prediction`, not here.
"""
