"""The audit database: the log that runs write, its tables, its chain of seals, and its upkeep.

Begin at `log`; `tables` has every table, `chain` proves that nobody has changed a row.
"""
