"""One worker process: batches from Kafka, answers to Kafka, state back from the log. The only room that knows Faust, with agents."""
