"""What the warm process of `warm` imports and loads before it is forked; it starts no thread."""

import gc
import tempfile
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

from dbt.cli.main import dbtRunner
from dbt_common.clients.jinja import template_cache

import flywheel.cli
import flywheel.loop
import flywheel.ranker.scoring
import flywheel.ranker.training
import flywheel.report
import flywheel.status  # noqa: F401
from flywheel import parsed
from flywheel.settings import Settings

_project = Path(__file__).parents[2]
_home = Path(tempfile.gettempdir())
_manifest = parsed.load(Settings(_project, _home, _home / "warehouse.duckdb"))
if _manifest is not None:
    # dbt compiles a macro where it is first called, and each fork would compile the same ones.
    for _macro in _manifest.macros.values():
        template_cache.get_node_template(_macro)
    # Nor need each of them make the schemas that profile and project are held against.
    with tempfile.TemporaryDirectory() as _folder, redirect_stdout(StringIO()):
        dbtRunner(_manifest).invoke(
            [
                *("--quiet", "--no-write-json", "--log-level-file", "none", "list"),
                *("--select", "dim_model_versions", "--project-dir", str(_project)),
                *("--profiles-dir", str(_project), "--target-path", _folder),
                *("--log-path", _folder),
            ]
        )

# Nothing of this is garbage: collections in the forks need not look at it, nor copy its pages.
gc.collect()
gc.freeze()
