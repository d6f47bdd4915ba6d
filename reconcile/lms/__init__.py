"""The Frappe LMS: what it is asked, and what its answers mean."""
