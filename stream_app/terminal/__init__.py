"""What commands show on a screen: logs, progress, retrain cycles, dead letters. Decides nothing."""
