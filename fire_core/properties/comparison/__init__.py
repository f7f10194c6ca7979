"""Finished measurements beside each other and beside published numbers."""
