"""Elastic tensors, moduli, stress at temperature, adhesion."""
