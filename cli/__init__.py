"""The console command `fire`."""

import os

# Threads of OpenMP spin while they wait for each other; where another process holds a
# core, training with two threads was 30 times slower for it.  Read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
