"""Labelling structures with an electronic-structure method."""
