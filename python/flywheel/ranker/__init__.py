"""Training and scoring of the LightGBM ranker; what it reads and writes are warehouse tables."""

import os

# Read when LightGBM's OpenMP runtime is loaded. By default its threads spin while they wait, and
# on a machine whose cores are busy two of them took ten times as long as one.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
