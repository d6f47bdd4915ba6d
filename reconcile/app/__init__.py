"""The composition root: from settings to a working application."""
