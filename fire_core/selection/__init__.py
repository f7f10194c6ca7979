"""Descriptors and selectors: which candidates are worth a label."""
