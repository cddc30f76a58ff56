"""The check before a build: everything the vars name, one file after the other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from flywheel.errors import FlywheelError
from flywheel.inputs.columns import column_names
from flywheel.inputs.formats import (
    REQUIRED_FLAT_COLUMNS,
    UBI_MARKS,
    LogFormat,
    check_features_file,
    check_flat_file,
    check_ubi_file,
)
from flywheel.inputs.given import path_value, project_vars
from flywheel.inputs.paths import resolve
from flywheel.inputs.sentences import listed

T = TypeVar("T")


@dataclass(frozen=True)
class InputFile:
    """One file the build will read.

    Attributes:
        path: where it is.
        variable: the dbt var that named it.
        size_bytes: its size on disk.
        n_sampled: documents or rows looked at; 0 for a file without any.
    """

    path: Path
    variable: str
    size_bytes: int
    n_sampled: int


@dataclass(frozen=True)
class InputSummary:
    """What a build is about to read; only made when every check has passed.

    Attributes:
        log_format: `ubi` or `flat`.
        files: the log's files, each once, sorted by path within a var.
        ranking_features: the features files, empty where none is named.
    """

    log_format: LogFormat
    files: tuple[InputFile, ...]
    ranking_features: tuple[InputFile, ...] = field(default=())

    @property
    def size_bytes(self) -> int:
        """Size of the log on disk."""
        return sum(file.size_bytes for file in self.files)

    def sentence(self) -> str:
        """One line for people: how many files of which format, and how large."""
        noun = "file" if len(self.files) == 1 else "files"
        size = f"{self.size_bytes / 1e6:,.1f} MB"
        features = " with ranking features" if self.ranking_features else ""
        return f"{len(self.files)} {self.log_format} {noun}, {size}{features}"


def check(variables: Mapping[str, Any], *, project: Path | None = None) -> InputSummary:
    """Look at everything the vars name, before a build.

    Args:
        variables: dbt vars: `log_format`, `raw_queries`, `raw_events`, `flat_log`,
            `ranking_features`; others are ignored.
        project: the dbt project's folder: relative paths start there, as they do for dbt, and a
            var that is not given takes its default from `dbt_project.yml`.

    Returns:
        The files that will be read.

    Raises:
        FlywheelError: the first thing that would stop the build, in one sentence.
    """
    values = {**project_vars(project), **variables} if project else dict(variables)
    log_format = values.get("log_format", "ubi")
    if log_format not in ("ubi", "flat"):
        raise FlywheelError(f"log_format is '{log_format}'; it must be ubi or flat.")
    names = ("raw_queries", "raw_events") if log_format == "ubi" else ("flat_log",)
    paths = {name: path_value(name, values.get(name)) for name in names}
    paths = {name: path for name, path in paths.items() if path}
    if not paths:
        raise FlywheelError(
            f"log_format is {log_format}, but no log is named; "
            f"add --var {names[0]}=PATH (a file, a glob or a directory)."
        )

    check_file = check_ubi_file if log_format == "ubi" else check_flat_file
    files: dict[Path, InputFile] = {}
    for name, path in paths.items():
        for file in resolve(path, root=project):
            if file not in files:
                n_sampled = _checked(check_file, file)
                files[file] = InputFile(file, name, file.stat().st_size, n_sampled)
    if not any(file.n_sampled for file in files.values()):
        named = " and ".join(dict.fromkeys(paths.values()))
        raise FlywheelError(f"{named} holds no rows; name a log with at least one search.")

    features = []
    features_path = path_value("ranking_features", values.get("ranking_features"))
    if features_path:
        for file in resolve(features_path, root=project):
            n_sampled = _checked(check_features_file, file)
            features.append(InputFile(file, "ranking_features", file.stat().st_size, n_sampled))
    return InputSummary(log_format, tuple(files.values()), tuple(features))


def detect_format(path: str, *, root: Path | None = None) -> LogFormat:
    """Tell whether a log is UBI or flat, from its first file that says so.

    Args:
        path: a file, glob or directory.
        root: what a relative path starts from; the working directory by default.

    Returns:
        `ubi` or `flat`.

    Raises:
        FlywheelError: nothing is there, a file cannot be read, or it is neither.
    """
    seen: dict[str, None] = {}
    files = resolve(path, root=root)
    for file in files:
        names = _checked(column_names, file)
        lowered = {name.lower() for name in names}
        if {"search_id", "doc_id"} <= lowered:
            return "flat"
        if lowered & set(UBI_MARKS):
            return "ubi"
        seen.update(dict.fromkeys(names))
    if not seen:
        raise FlywheelError(f"{path} holds no rows; name a log with at least one search.")
    raise FlywheelError(
        f"{path} is neither a UBI log (documents with {listed(UBI_MARKS, 'or')}) nor a flat log "
        f"(columns {listed(REQUIRED_FLAT_COLUMNS)}); it has {listed(list(seen))}. "
        "Rename its columns with one select."
    )


def _checked(look: Callable[[Path], T], path: Path) -> T:
    try:
        return look(path)
    except OSError as error:
        raise FlywheelError(f"{path} cannot be read ({error.strerror or error}).") from error
