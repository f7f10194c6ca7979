"""Wall time of dynamics and labels against the number of atoms."""
