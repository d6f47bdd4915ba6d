"""The embedded stand-ins for demo and tests: a Frappe LMS over HTTP, a MongoDB, a shop's data."""
