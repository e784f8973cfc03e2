"""Deciding, without I/O, clock, randomness or framework. Start with `types.py`, then `decide.py`."""
