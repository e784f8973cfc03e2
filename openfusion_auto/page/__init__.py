"""The web page at `/ui`: what was recorded, for people. Start with `mount.py`; `routes.py` lists the views."""
