"""Property requests: what is to be measured, of which model, on which structure."""
