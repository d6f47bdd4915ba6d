"""What happened and what comes next, of one order and of the backlog: whoever tells it reads it here."""
