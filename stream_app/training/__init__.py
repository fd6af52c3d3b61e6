"""One training job, the processes it runs in, and the cycle that retrains every symbol.

Knows no Kafka: jobs run the same offline.
"""
