"""Pre-training of fire-mini, the foundation model that travels with the project."""
