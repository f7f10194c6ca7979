"""Figures of properties, drawn from the curves that a measurement kept."""
