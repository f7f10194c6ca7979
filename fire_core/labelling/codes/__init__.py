"""Electronic-structure codes, one module each."""
