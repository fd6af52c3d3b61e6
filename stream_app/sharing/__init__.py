"""How the workers of a group share its partitions, and who stands by for which."""
