"""What the audit database says, for people and machines. Reads only, and knows no adapter."""
