"""The console command `fire`."""

import os

# Threads of OpenMP spin while they wait for each other; where another process holds a
# core, that made training with two threads 60 times slower. A short spin costs nothing
# on free cores (`OMP_WAIT_POLICY=PASSIVE`, no spin, doubles the time).  Read when torch
# loads.
os.environ.setdefault("GOMP_SPINCOUNT", "3000")
