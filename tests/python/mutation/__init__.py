"""Mutation check: change the compiled SQL of the models one place at a time, and see who notices.

A test that no wrong model can fail protects nothing. Each mutant is one small change of one model
(`mutants`); the tests that dbt runs on that model judge it (`judge`), and those that pytest runs
on its SQL judge what is left (`sql_tests`). What nobody noticed must stand, with the reason, in
`survivors.toml` (`survivors`).
"""
