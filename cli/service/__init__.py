"""The service: deploy it, run it on one machine."""
