"""The tests of FIRE."""
