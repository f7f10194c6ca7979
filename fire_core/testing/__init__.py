"""Contracts that an addition to FIRE inherits in its own tests."""
