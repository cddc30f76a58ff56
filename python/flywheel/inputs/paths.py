"""Which files a path stands for, and what their names say they are."""

import glob
from collections.abc import Iterator
from pathlib import Path

from flywheel.errors import FlywheelError

TEXT_TYPES = ("ndjson", "jsonl", "json", "csv")
COMPRESSIONS = ("gz", "zst")


def resolve(path: str, *, root: Path | None = None) -> list[Path]:
    """Turn a file, glob or directory into the files it stands for.

    Args:
        path: a file (of any name), a glob (`**` crosses folders), or a directory, which is
            searched recursively for files of a known type. Hidden files are skipped.
        root: what a relative path starts from; the working directory by default.

    Returns:
        The files, sorted, each once.

    Raises:
        FlywheelError: nothing is there, or a file's name is a pattern itself.
    """
    if "://" in path:
        raise FlywheelError(
            f"{path} is a remote address; copy the log to this machine and name the copy."
        )
    files = _found(path, (root or Path.cwd()).resolve())
    for file in files:
        if glob.has_magic(str(file)):
            raise FlywheelError(
                f"The name of {file} holds a character that patterns use (*, ? or [); rename it."
            )
    return files


def _found(path: str, base: Path) -> list[Path]:
    target = base / Path(path).expanduser()
    if target.is_file():
        return [target]
    if target.is_dir():
        found = sorted(
            file
            for file in target.rglob("*")
            if file.is_file() and not _is_hidden(file.relative_to(target)) and file_type(file)
        )
        if not found:
            raise FlywheelError(
                f"The directory {path} holds no file of a known type; it needs at least one "
                ".ndjson, .jsonl, .json, .csv or .parquet file (text also as .gz or .zst)."
            )
        return found
    if glob.has_magic(path):
        matches = sorted({Path(match) for match in glob.glob(str(target), recursive=True)})
        found = [file for file in matches if file.is_file()]
        if not found:
            raise FlywheelError(
                f"No file matches {path}; check the pattern, and quote it so that the shell "
                "does not expand it."
            )
        return found
    raise FlywheelError(f"There is no file or directory {path} (looked in {base}); check the path.")


def file_type(path: Path) -> str | None:
    """`ndjson`, `jsonl`, `json`, `csv`, `parquet`, or None for any other name."""
    suffix = next((s for s in _suffixes(path) if s not in COMPRESSIONS), None)
    return suffix if suffix in (*TEXT_TYPES, "parquet") else None


def compression_of(path: Path) -> str | None:
    """`gz` or `zst`, or None where a file is not compressed by its name."""
    last = next(_suffixes(path), None)
    return last if last in COMPRESSIONS else None


def _suffixes(path: Path) -> Iterator[str]:
    return (suffix.lower().lstrip(".") for suffix in reversed(path.suffixes))


def _is_hidden(relative: Path) -> bool:
    return any(part.startswith(".") for part in relative.parts)


def literal(path: Path) -> str:
    """The path with its glob characters taken literally, as DuckDB's readers want it."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in str(path))
