"""The check before a build: everything the vars name, one file after the other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from flywheel.errors import FlywheelError
from flywheel.inputs.columns import column_names
from flywheel.inputs.declared import log_formats
from flywheel.inputs.formats import check_features_file, check_log_file, has_marks
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
        log_format: name of its format.
        files: the log's files, each once, sorted by path within a var.
        ranking_features: the features files, empty where none is named.
    """

    log_format: str
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
        variables: dbt vars: `log_format`, those that name files of that format, and
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
    formats = log_formats(project)
    if log_format not in formats:
        names = " or ".join(sorted(formats))
        raise FlywheelError(f"log_format is '{log_format}'; it must be {names}.")
    declared = formats[log_format]
    others = [other for other in formats.values() if other is not declared]
    names = declared.variables
    paths = {name: path_value(name, values.get(name)) for name in names}
    paths = {name: path for name, path in paths.items() if path}
    if not paths:
        raise FlywheelError(
            f"log_format is {log_format}, but no log is named; "
            f"add --var {names[0]}=PATH (a file, a glob or a directory)."
        )

    files: dict[Path, InputFile] = {}
    for name, path in paths.items():
        for file in resolve(path, root=project):
            if file not in files:
                n_sampled = _checked(lambda one: check_log_file(one, declared, others), file)
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


def detect_format(path: str, *, root: Path | None = None) -> str:
    """Tell the format of a log, from its first file that says so.

    Args:
        path: a file, glob or directory.
        root: what a relative path starts from; the working directory by default.

    Returns:
        The format's name.

    Raises:
        FlywheelError: nothing is there, a file cannot be read, or it is neither.
    """
    formats = sorted(log_formats().values(), key=lambda one: (one.reader != "rows", one.name))
    seen: dict[str, None] = {}
    files = resolve(path, root=root)
    for file in files:
        names = _checked(column_names, file)
        for declared in formats:
            if has_marks(names, declared):
                return declared.name
        seen.update(dict.fromkeys(names))
    if not seen:
        raise FlywheelError(f"{path} holds no rows; name a log with at least one search.")
    wanted = [
        f"{declared.noun} (documents with {listed(declared.marks, 'or')})"
        if declared.marks
        else f"{declared.noun} (columns {listed(declared.required)})"
        for declared in reversed(formats)
    ]
    raise FlywheelError(
        f"{path} is neither {' nor '.join(wanted)}; it has {listed(list(seen))}. "
        "Rename its columns with one select, or declare their names (docs/extending.md)."
    )


def _checked(look: Callable[[Path], T], path: Path) -> T:
    try:
        return look(path)
    except OSError as error:
        raise FlywheelError(f"{path} cannot be read ({error.strerror or error}).") from error
