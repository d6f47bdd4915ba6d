"""Who is told when something is wrong: one message for each cause, and a ping after each run."""
