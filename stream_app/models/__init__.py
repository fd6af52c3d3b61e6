"""The four members of the ensemble, behind the one contract in base.py."""
