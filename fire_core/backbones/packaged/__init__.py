"""Models that their own packages compute, each imported where it is asked for."""
