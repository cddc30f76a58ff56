"""Measures the project against what the same work costs by hand; no part of `flywheel`.

`logs` writes click logs of any size by SQL, `core.sql` is a hand-written script for the core of the
work, `ruler` measures the project beside it, and `compare` says whether two revisions build the
same public tables. Run with `python` on the path: `PYTHONPATH=python python -m bench --help`.
"""
