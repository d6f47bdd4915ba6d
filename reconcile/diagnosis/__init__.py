"""Why would a run not succeed? Each check says ok, warning or problem, and the remedy.

Reads only. What one check needs from another that failed is skipped and says so: one cause, one
problem.
"""
