"""Records in, predictions out. Pure: no Kafka, no disk, no clock."""
