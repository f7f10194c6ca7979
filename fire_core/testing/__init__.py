"""Contracts that an addition inherits: test classes to subclass."""
