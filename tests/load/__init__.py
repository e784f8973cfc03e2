"""What runs under load, for long, and killed: programs with figures of their own (docs/contributing.md)."""
