"""The use case: look at both sides, decide, act as little as possible, write down what was done.

The only place that orders effects. Begin at `reconciler`, which drives one run. `ports`, `source` and
`leases` are what it needs from outside, `options` what it is told. `survey` looks and decides, `batch`
carries a page out, `enrolling` runs the tries and finds whose fault a failure was, `writing` makes one LMS
write safely. What decides does nothing else and is pure: `decision`, `answers` and their like.
"""
