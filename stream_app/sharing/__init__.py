"""How a group's partitions and their standbys are assigned to its workers."""
