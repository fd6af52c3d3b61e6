"""The four models of the ensemble, behind one contract (base.py). Uses no Kafka and no clock."""
