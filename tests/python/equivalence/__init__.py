"""Proof that a warehouse built piece by piece equals one that is built at once.

`events` makes raw logs that are awkward on purpose, `schedules` says in which pieces and in which
order their files arrive, `builders` builds a warehouse from them (with dbt itself, or by replaying
what dbt executes), `comparison` compares two warehouses row by row, and `cases` puts them together.
"""
