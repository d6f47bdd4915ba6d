"""The composition root: from settings to a working application.

Begin at `build`; `parts` makes each port, `app` is what comes of it.
"""
