"""Where state is kept beyond a process."""
