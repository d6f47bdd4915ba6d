"""Crash tests: kill -9 at every step of a run, then look at what the three systems say."""
