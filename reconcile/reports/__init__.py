"""What the audit database says, for people and machines. Reads only.

Floors inside: `model` (rows, columns, sections), `queries`, the `owner`'s sections and the `digest`, `views`
(which columns each view has), `formats` (how it is written).
"""
