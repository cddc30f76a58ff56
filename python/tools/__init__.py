"""What is run by hand when the project itself is tended; no part of `flywheel`.

`bot_patterns` writes the seed of user-agent patterns. Run with `python` on the path:
`PYTHONPATH=python python -m tools.bot_patterns`.
"""
