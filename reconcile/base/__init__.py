"""What everybody may use: errors, the clock, the log, redaction, bounds of time. Imports nothing of ours."""
