"""The mail that tells a learner of new access: at most one, ever."""
