"""The use case: look at both sides, decide, act as little as possible, write down what was done.

The only place that orders effects. Begin at `reconciler`, which drives one run. `ports`, `source` and
`leases` are what it needs from outside, `options` what it is told. `pipeline` lays the stages and orders
their effects; each stage is a file. What decides does nothing else and is pure: `decision`, `answers` and
their like.
"""
