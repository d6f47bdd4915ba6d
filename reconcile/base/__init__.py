"""What everybody may use: errors, the clock, the log, redaction, bounds of time. Imports nothing of ours.

A thing belongs here only when rooms that know nothing of one another need it.
"""
