"""A Frappe LMS that answers as measured, over HTTP."""
