"""NDJSON files: their first documents, those of the bulk format too."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flywheel.errors import FlywheelError
from flywheel.inputs.text import head_lines

SAMPLED_DOCUMENTS = 100


def sampled_documents(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The first JSON objects of a text file, action lines left out, and the lines looked at."""
    documents: list[dict[str, Any]] = []
    n_lines = 0
    for line in head_lines(path):
        text = line.strip()
        if not text:
            continue
        n_lines += 1
        if n_lines == 1 and text.startswith(b"["):
            raise FlywheelError(
                f"{path} is a JSON array; write one document per line (jq -c '.[]' does it)."
            )
        document = _document(text)
        if document is not None and not _is_action_line(document):
            documents.append(document)
        if len(documents) == SAMPLED_DOCUMENTS or n_lines == 3 * SAMPLED_DOCUMENTS:
            break
    return documents, n_lines


def _document(text: bytes) -> dict[str, Any] | None:
    """A line's JSON object: plain, or behind an index name and a tab. None where it is none."""
    if not text.startswith(b"{") and b"\t" in text:
        text = text.split(b"\t", 1)[1]
    try:
        value = json.loads(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _is_action_line(document: Mapping[str, Any]) -> bool:
    """Whether this is a line of the bulk format that only announces the next document."""
    if len(document) != 1:
        return False
    ((verb, target),) = document.items()
    return verb in ("index", "create", "update", "delete") and isinstance(target, dict)


def keys(documents: list[dict[str, Any]]) -> list[str]:
    """Keys of the documents, each once, in the order in which they occur."""
    return list(dict.fromkeys(key for document in documents for key in document))
