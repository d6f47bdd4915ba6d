"""How fast, and against what: one program for each line of the table in README.md.

`python -m benchmarks` runs them all, `python -m benchmarks.v1 --quick` one of them.
"""
