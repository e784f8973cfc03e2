"""The command line; `main.py` lists the commands, each has a module of its name."""
