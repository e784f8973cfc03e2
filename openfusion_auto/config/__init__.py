"""Settings and pools: read, merged, checked, with where every value came from. `load.py` is the way in."""
