"""The small log that ships with the project, so that a fresh clone has something to build."""

from pathlib import Path

from flywheel.simulator.traffic import DEFAULT_START, Plan
from flywheel.simulator.world import World
from flywheel.simulator.writers import gzip_bytes, ubi_lines

SAMPLE_DAYS = 14


def sample_world() -> World:
    """The world behind the shipped log."""
    return World(seed=3, n_queries=40, docs_per_query=15, n_users=250)


def sample_plan() -> Plan:
    """The traffic of the shipped log; more of it is randomised than anybody would in earnest."""
    return Plan(sample_world(), searches_per_day=220, seed=7, randomised_share=0.15, bot_share=0.15)


def write_sample_log(folder: str | Path) -> list[Path]:
    """Write `ubi_queries.ndjson.gz`, `ubi_events.ndjson.gz` and `ranking_features.parquet`.

    Returns:
        The three files.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    texts = ubi_lines(sample_plan(), DEFAULT_START, SAMPLE_DAYS)
    for name, text in zip(("ubi_queries", "ubi_events"), texts, strict=True):
        path = folder / f"{name}.ndjson.gz"
        path.write_bytes(gzip_bytes(text.encode()))
        files.append(path)
    files.append(sample_world().write_features(folder / "ranking_features.parquet"))
    return files
