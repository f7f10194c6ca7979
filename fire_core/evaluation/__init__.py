"""Errors, forgetting and stability of a model."""
