"""The layers of checking a change: the linters, `make check`, and the long proofs."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[3]
