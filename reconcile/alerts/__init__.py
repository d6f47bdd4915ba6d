"""Who is told when something is wrong: one message for each cause, and a ping after each run.

Begin at `alerting`: `look` sees how things stand, `causes` what is wrong, `decision` what is told now, and
`texts` how.
"""
