"""The use case: look at both sides, decide, act as little as possible, write down what was done.

The only place that orders effects. Begin at `reconciler`, which drives one run. `ports`, `source` and
`leases` are what it needs from outside, `options` what it is told. `survey` looks and decides, `writing`
makes one LMS write safely, `batch` carries a page's decisions out; what decides does nothing else, and is
pure: `decision`, `answers`, `retry`, `verdicts`, `breaker`, `guards`.
"""
