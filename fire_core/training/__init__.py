"""Replay fine-tuning of a backbone."""
