"""Additions to FIRE: a labeller, a selector and a gate, one module each."""
