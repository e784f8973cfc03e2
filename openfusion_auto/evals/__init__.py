"""Cases, comparisons, replays."""
