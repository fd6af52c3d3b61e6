"""What travels on the topics: the types, and all checking of what comes in. Knows no Kafka."""
