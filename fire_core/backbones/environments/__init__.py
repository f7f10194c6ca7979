"""Environments of their own for models whose packages cannot share FIRE's."""
