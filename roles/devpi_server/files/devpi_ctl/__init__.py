"""What the programs of a devpi host share: SQLite, systemd, and what root does with what is devpi's.

It stands beside the programs that use it, and needs nothing but Python 3.9.
"""
