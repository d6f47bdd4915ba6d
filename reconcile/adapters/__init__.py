"""The edges: MongoDB, the Frappe LMS, the audit database. Thin; each maps its library's errors once."""
