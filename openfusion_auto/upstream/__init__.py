"""Places that serve models, and the fake one."""
