"""Terminal output of commands: logs, progress, retrain cycles, dead letters. Decides nothing."""
