"""Measures the project, by what the same work costs by hand and by worlds whose truth is known.

No part of `flywheel`, which is installed without it. `logs` writes click logs of any size by SQL,
`core.sql` is a hand-written script for the core of the work, `ruler` measures the project beside
it, `steps` each step of a turn, `bots` and `canary` how often the rules are right, and `compare`
says whether two revisions build the same public tables. Run with `python` on the path:
`PYTHONPATH=python python -m bench --help`.
"""
