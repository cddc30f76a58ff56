"""Eval Flywheel: the thin Python step around a SQL-first dbt project."""

import os

__version__ = "0.1.0"

# Read when LightGBM's OpenMP runtime is loaded, so it must stand before every import of it. By
# default its threads spin while they wait: two of them on busy cores took ten times as long as one.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
