"""Studies: trainings compared over data sizes, selections and seeds."""
