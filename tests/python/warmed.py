"""What the warm process of `warm` imports and loads before it is forked; it starts no thread."""

import gc
import tempfile
from pathlib import Path

import dbt.cli.main  # noqa: F401 - imported to be there

import flywheel.cli
import flywheel.loop
import flywheel.ranker.scoring
import flywheel.ranker.training
import flywheel.report
import flywheel.status  # noqa: F401
from flywheel import parsed
from flywheel.settings import Settings

_home = Path(tempfile.gettempdir())
parsed.load(Settings(Path(__file__).parents[2], _home, _home / "warehouse.duckdb"))
# Nothing of this is garbage: collections in the forks need not look at it, nor copy its pages.
gc.collect()
gc.freeze()
