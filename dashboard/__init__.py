"""What people look at; reads the store and nothing else."""
