"""Connecting to Kafka, reading, producing, and the topics of topics.yaml."""
