"""The pure core: what things are and what should be done. Standard library only, no I/O, no clock."""
