"""The other direction: where the LMS and the orders differ without being a backlog."""
