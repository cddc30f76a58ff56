"""Marks the tests that build something, so that `make check` can leave them out.

Loaded with `-p check.plugin`; the marker is `builds`. A test is marked for its fixtures, which
say that dbt or another process works for it, or for its module, where that takes long without.
"""

import pytest

BUILDING = frozenset({"sample", "flat", "flywheel", "make_flywheel"})
"""Fixtures that build, or whose tests do."""

SLOW: dict[str, str] = {}
"""Module -> why all of it is left to `make test`."""


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line("markers", "builds: needs a build of dbt, a process, or long")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests before `-m` chooses among them."""
    for item in items:
        if is_building(item.path.stem, getattr(item, "fixturenames", ())):
            item.add_marker("builds")


def is_building(module: str, fixtures: object) -> bool:
    """Whether a test of the module that uses the fixtures is left out."""
    return module in SLOW or not BUILDING.isdisjoint(fixtures)  # type: ignore[arg-type]
