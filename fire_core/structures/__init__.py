"""Structures: identity, crystals, interfaces, perturbation and sanity."""
