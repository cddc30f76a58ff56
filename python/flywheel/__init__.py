"""Eval Flywheel: the thin Python step around a SQL-first dbt project."""

__version__ = "0.1.0"
