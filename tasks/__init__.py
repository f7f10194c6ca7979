"""Thin Prefect tasks: read from the store, call the step, write back."""
