"""Measurements of properties: enter one, go on with it, keep what came out."""
