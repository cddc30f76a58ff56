"""Text files, plain or compressed: their head, all of their lines, how the lines end."""

import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

from flywheel.errors import FlywheelError
from flywheel.inputs.paths import compression_of

HEAD_BYTES = 8 * 1024 * 1024
"""How much of a text file's beginning is looked at: room for a hundred documents, a few of them
absurdly long."""
BINARY_PROBE_BYTES = 64 * 1024
CHUNK = 1024 * 1024
_LINE_END = re.compile(rb"\r?\n|\r(?!\Z)")
_LONE_CARRIAGE_RETURN = re.compile(rb"\r(?!\n|\Z)")
_MAGIC = {"gz": b"\x1f\x8b", "zst": b"\x28\xb5\x2f\xfd"}
_COMPRESSION_NAMES = {"gz": "gzip", "zst": "Zstandard"}
_ARCHIVE_MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"BZh": "a bzip2 file",
    b"7z\xbc\xaf": "a 7z file",
}
PARQUET_MAGIC = b"PAR1"


def head_lines(path: Path) -> list[bytes]:
    """The first lines of a text file, unpacked.

    A last line that the limit may have cut is left out.

    Raises:
        FlywheelError: the file is not the text it says it is, or its stream is cut.
    """
    compression = compression_of(path)
    if compression:
        _check_compressed(path, compression)
    with opened(path, compression) as stream:
        head = stream.read(HEAD_BYTES)
        complete = not stream.read(1)
    for magic, what in _ARCHIVE_MAGIC.items():
        if head.startswith(magic):
            raise FlywheelError(f"{path} is {what}; unpack it, and name what was in it.")
    if head.startswith(PARQUET_MAGIC):
        raise FlywheelError(f"{path} is a Parquet file; give it a name that ends in .parquet.")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise FlywheelError(f"{path} is UTF-16 text; convert it to UTF-8 (iconv does it).")
    if b"\x00" in head[:BINARY_PROBE_BYTES]:
        raise FlywheelError(
            f"{path} holds binary content (zero bytes), not text; "
            "export it again as UTF-8 NDJSON or CSV, or name it after what it is."
        )
    lines = head.removeprefix(b"\xef\xbb\xbf").splitlines()
    if not complete:
        lines = lines[:-1]
        if not lines:
            raise FlywheelError(
                f"The first line of {path} is longer than {HEAD_BYTES // 1024 // 1024} MB; "
                "write one document or row per line."
            )
    return lines


def all_lines(path: Path) -> Iterator[bytes]:
    """Every line of a text file, unpacked, without its end (\\n, \\r\\n or \\r)."""
    left = b""
    with opened(path, compression_of(path)) as stream:
        while chunk := stream.read(CHUNK):
            block = left + bytes(chunk)
            kept = b"\r" if block.endswith(b"\r") else b""  # its \n may be in the next chunk
            block = block[: len(block) - len(kept)].replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            lines = block.split(b"\n")
            left = lines.pop() + kept
            yield from lines
    if left:
        yield from left.removesuffix(b"\r").split(b"\n")


def check_line_ends(path: Path) -> None:
    """Look for carriage returns of their own in a file whose lines end in CRLF.

    DuckDB's reader loses the character behind one, and the row with it.

    Raises:
        FlywheelError: names the file and the place of the first.
    """
    place, before, is_crlf = 0, b"", False
    with opened(path, compression_of(path)) as stream:
        while chunk := stream.read(CHUNK):
            block = before + bytes(chunk)
            first = None if is_crlf else _LINE_END.search(block)
            if first and first[0] != b"\r\n":
                return
            is_crlf = is_crlf or first is not None
            lone = _LONE_CARRIAGE_RETURN.search(block)
            if lone:
                raise FlywheelError(
                    f"The lines of {path} end in \\r\\n, but at byte {place + lone.start()} a \\r "
                    "stands alone, which makes readers lose what follows; end all lines in the "
                    "same way (tr -d '\\r' leaves \\n)."
                )
            before = b"\r" if block.endswith(b"\r") else b""
            place += len(block) - len(before)


def _check_compressed(path: Path, compression: str) -> None:
    """Read a compressed file through: a cut Zstandard stream would pass for a shorter log."""
    name = _COMPRESSION_NAMES[compression]
    with path.open("rb") as raw:
        if raw.read(len(_MAGIC[compression])) != _MAGIC[compression]:
            raise FlywheelError(
                f"{path} is not {name} data although its name ends in .{compression}; "
                "rename it after what it is, or pack it again."
            )
    try:
        with opened(path, compression) as stream:
            while stream.read(CHUNK):
                pass
    except (EOFError, OSError, zlib.error) as error:
        raise FlywheelError(
            f"{path} is cut short or damaged (its {name} stream does not end properly); "
            "copy it again from where it was written."
        ) from error


def opened(path: Path, compression: str | None) -> BinaryIO:
    """The bytes of a text file, unpacked."""
    if compression == "gz":
        return cast("BinaryIO", gzip.open(path, "rb"))
    if compression == "zst":
        import pyarrow as pa  # here, because most logs are not packed this way

        return pa.CompressedInputStream(pa.OSFile(str(path)), "zstd")
    return path.open("rb")
