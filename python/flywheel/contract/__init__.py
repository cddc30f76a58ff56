"""What the project promises about its tables, and whether the warehouse keeps it.

`manifest` reads what the YAML says, `catalog` what is built, `check` compares the two and the
fixed tables of `public_tables.yml`; `policy` is the house rules for YAML and models; `odcs` writes
the public tables as an Open Data Contract Standard file, `compare` holds it against an older one.
"""
