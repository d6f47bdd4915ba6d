"""What proves that nobody has changed the audit: links for each event of a run, and seals."""
