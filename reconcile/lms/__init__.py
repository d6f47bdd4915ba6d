"""The Frappe LMS: what it is asked, and what its answers mean.

Begin at `lms`; `http` sends, `answers` and `errors` say what comes back, `pages` whose it is.
"""
