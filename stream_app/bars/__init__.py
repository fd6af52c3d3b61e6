"""Ticks become bars, and bars become features. Pure: no Kafka, no disk, no clock."""
