"""Transport: trajectories in, diffusion, conductivity and their errors out.

D. Frenkel and B. Smit, Understanding Molecular Simulation, ch. 4, for the mean squared
displacement; J. T. Bullerjahn, S. von Bülow and G. Hummer, J. Chem. Phys. 153, 024116
(2020), and A. R. McCluskey et al., J. Chem. Theory Comput. 21, 79 (2025), for its
covariance.
"""
