"""A MongoDB server of one's own, embedded."""
