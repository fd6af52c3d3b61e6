"""The four models of the ensemble, behind one contract (base.py). Knows no Kafka and no clock."""
