"""Pair distributions, coordination, density and cell at temperature."""
