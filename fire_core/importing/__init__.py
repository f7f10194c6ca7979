"""Finished calculations of others: their structures, labels and theory levels."""
