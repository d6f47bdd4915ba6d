"""The audit database: the log that runs write, its tables, its chain of seals, and its upkeep."""
