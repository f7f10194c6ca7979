"""Equivalent circuits of a pellet: spectra, their validity and their fits."""
