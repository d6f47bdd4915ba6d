"""The other direction: where the LMS and the orders differ without being a backlog.

Begin at `find`; `findings` says what is a difference, `fix` repairs what may be repaired.
"""
