"""The mail that tells a learner of new access: at most one, ever.

Begin at `mailing`, which sends what the `outbox` owes; `rules` says what follows from a mail server's answer.
"""
