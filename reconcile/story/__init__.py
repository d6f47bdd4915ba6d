"""What happened and what comes next, of one order and of the backlog: whoever tells it reads it here.

Begin at `explain` for one order, at `status` for all of them.
"""
