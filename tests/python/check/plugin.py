"""Marks the tests that build something, so that `make check` can leave them out.

Loaded with `-p check.plugin`; the marker is `builds`. A test is marked for its fixtures, which
say that dbt or another process works for it, or for its module, where that takes long without.
"""

from collections.abc import Iterable

import pytest

BUILDING = frozenset(
    {
        *("sample", "flat", "flywheel", "make_flywheel"),
        *("test_cli.ubi", "test_security.turned"),  # a turn
        "test_bots.rows",  # a dozen simulated worlds
    }
)
"""Fixtures that build, or whose tests do; those of one module with its name before."""

SLOW = {
    "test_cli::test_too_little_to_learn_from_is_said_and_is_no_error": "turns a loop",
    "test_chaos": "kills processes",
    "test_equivalence": "builds logs in many ways",
    "test_fuzz": "reads hundreds of files, in processes of its own",
    "test_loop": "turns whole loops",
    "test_project::test_strict_parse_passes": "is the strict gate",
    "test_project::test_strict_parse_finds_a_planted_deprecation": "parses a project",
    "test_project::test_strict_gate_finds_a_planted_breach_of_policy": "parses a project",
    "test_propensity": "estimates curves on simulated logs",
    "test_registry": "stops a process at every step of a move",
    "test_report": "renders a report for each world",
    "test_training_sql": "runs the training models for each world",
    "test_validation": "runs Great Expectations for each broken table",
    "test_validation_drift": "runs Great Expectations for each drift",
    "test_validation_history": "runs Great Expectations for each history",
}
"""Module -> why all of it is left to `make test`; `module::test` for one test."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "builds: needs a build of dbt, a process, or long")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests before `-m` chooses among them."""
    for item in items:
        test = getattr(item, "originalname", item.name)
        if is_building(item.path.stem, test, getattr(item, "fixturenames", ())):
            item.add_marker("builds")


def is_building(module: str, test: str, fixtures: Iterable[str]) -> bool:
    """Whether a test of the module that uses the fixtures is left out."""
    named = {name for fixture in fixtures for name in (fixture, f"{module}.{fixture}")}
    return module in SLOW or f"{module}::{test}" in SLOW or not BUILDING.isdisjoint(named)
