"""Faster evaluation of MACE's layers with the same numbers; imported where torch is."""
