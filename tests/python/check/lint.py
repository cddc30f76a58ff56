"""The linters, once for the whole project and once for what changed.

`python -m check lint` runs them over everything, `--changed` over the files that differ from
those that passed last, or from the last commit where none did.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from check import PROJECT
from check.changes import Tree
from check.steps import Step, python

YAML_PLACES = (
    "dbt_project.yml",
    "profiles.yml",
    *("models", "macros", "seeds", "analyses", "python", ".github"),
)
SQL_PLACES = ("models", "analyses", "tests")
NOT_LINTED = ("tests/generic/", "tests/python/")  # .sqlfluffignore says why

# What changes the rules, or what every model renders to, changes the findings in every file.
ALL_SQL = (".sqlfluff", ".sqlfluffignore", "tests/lint/", "dbt_project.yml", "requirements.lock")
ALL_YAML = (".yamllint", "requirements.lock")

# What dbt parses, and what the policy reads and is.
PARSED = (
    *("dbt_project.yml", "profiles.yml", "selectors.yml", "requirements.lock"),
    *("models/", "macros/", "seeds/", "analyses/", "docs/"),
    *("python/flywheel/strict.py", "python/flywheel/contract/"),
)


def ruff() -> list[Step]:
    """Style of the Python files, always all: it takes a tenth of a second."""
    return [
        Step("ruff", python("-m", "ruff", "check", "--quiet", "python", "tests")),
        Step("ruff format", python("-m", "ruff", "format", "--check", "-q", "python", "tests")),
    ]


def strict(passed: Callable[[], None] | None = None) -> Step:
    """dbt's deprecations and the project's policy; `passed` is called after success."""
    return Step("strict gate", python("-m", "flywheel.strict"), passed=passed)


def sqlfluff(places: Sequence[str]) -> Step:
    """Style of SQL files or folders."""
    options = ("--nocolor", "--disable-progress-bar", "--processes", "2")
    return Step(
        "sqlfluff",
        python("-m", "sqlfluff", "lint", *options, *places),
        {"PYTHONWARNINGS": "ignore"},
    )


def yamllint(places: Sequence[str]) -> Step:
    """Style of YAML files or folders."""
    return Step("yamllint", python("-m", "yamllint", "--strict", *places))


def everything() -> tuple[list[Step], ...]:
    """All linters over all files, in two lanes.

    sqlfluff has two processes of its own; the others fill what its start and its end leave idle.
    """
    return [sqlfluff(SQL_PLACES)], [*ruff(), yamllint(YAML_PLACES), strict()]


def only(changed: Iterable[str], tree: Tree) -> list[Step]:
    """The linters over what changed.

    Args:
        changed: paths, deleted ones among them.
        tree: the project's files.
    """
    paths = set(changed)
    steps = ruff()
    if files := yaml_files(paths, tree):
        steps.append(yamllint(files))
    if files := sql_files(paths, tree, PROJECT):
        steps.append(sqlfluff(files))
    return steps


def is_parsed(path: str) -> bool:
    """Whether the strict gate may find something else after a change of the file."""
    return path.startswith(PARSED) or (
        path.startswith("tests/") and not path.startswith(("tests/python/", "tests/lint/"))
    )


def yaml_files(changed: set[str], tree: Tree) -> list[str]:
    """YAML files to lint again after a change."""
    every = [
        path for path in tree if path.endswith((".yml", ".yaml")) and _is_below(path, YAML_PLACES)
    ]
    if any(path.startswith(ALL_YAML) for path in changed):
        return sorted(every)
    return sorted(changed.intersection(every))


def sql_files(changed: set[str], tree: Tree, project: Path) -> list[str]:
    """SQL files to lint again after a change: they, and those that use a changed macro."""
    every = [
        path
        for path in tree
        if path.endswith(".sql") and _is_below(path, SQL_PLACES) and not path.startswith(NOT_LINTED)
    ]
    if any(path.startswith(ALL_SQL) for path in changed):
        return sorted(every)
    found = changed.intersection(every)
    if macros := _macros_to_render(changed, tree, project):
        names = _any_of(macros)
        found |= {path for path in every if names.search(_text(project / path))}
    return sorted(found)


def _macros_to_render(changed: set[str], tree: Tree, project: Path) -> set[str]:
    """Names of the macros in changed files, and of all macros that call them, found by name."""
    texts = {path: _text(project / path) for path in tree if path.startswith("macros/")}
    names: set[str] = set()
    pending = changed & texts.keys()
    while pending:
        for path in pending:
            names |= _defined(texts.pop(path))
        if not names:
            break
        callers = _any_of(names)
        pending = {path for path, text in texts.items() if callers.search(text)}
    return names


def _defined(text: str) -> set[str]:
    """Names by which macros of a file are called: dispatch leaves out the engine."""
    names = re.findall(r"{%-?\s*macro\s+(\w+)", text)
    return {re.sub(r"^(duckdb|default)__", "", name) for name in names}


def _any_of(names: set[str]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(sorted(names))})\b")


def _is_below(path: str, places: Sequence[str]) -> bool:
    return any(path == place or path.startswith(f"{place}/") for place in places)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")
