"""Figures and pages that show what a campaign found."""
