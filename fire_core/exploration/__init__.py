"""Molecular dynamics that proposes candidate structures."""
