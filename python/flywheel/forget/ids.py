"""Who was forgotten: hashes that recognise a person's ids, and patterns that find them in text."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flywheel.inputs.declared import log_formats

IDENTITY_FIELDS = ("client_id", "user_id", "session_id")
SEARCH_FIELDS = ("query_id", "search_id")
NESTED_FIELDS = ("event_attributes", "query_attributes")

_DISTINCTIVE = r"[0-9@]"
_MIN_DISTINCTIVE = 8
_WORD = "[0-9A-Za-z_-]"
_NOT_WORD = "[^0-9A-Za-z_-]"


def salted_hash(salt: str, text: str) -> str:
    """The hash in `flywheel_state.forgotten_visitors`, as macro `is_forgotten` has it."""
    digest = hashlib.md5(f"{salt}-{text}".encode(errors="surrogateescape"), usedforsecurity=False)
    return digest.hexdigest()


def is_distinctive(text: str) -> bool:
    """Whether a text can hardly mean anything but the person: eight characters, a digit or an @.

    `u1` may be a document and `charlotte` a query; neither is looked for outside identity fields.
    """
    return len(text) >= _MIN_DISTINCTIVE and re.search(_DISTINCTIVE, text) is not None


def mention_pattern(ids: Iterable[str]) -> str:
    """A regular expression, for RE2 and Python alike, that finds ids in text such as JSON.

    A distinctive id is found wherever it stands as a word, any other only as the value of an
    identity field.
    """
    parts = []
    for name in ids:
        spelled = "|".join(
            sorted({re.escape(s) for s in (name, *(_in_json(name)))}, key=lambda s: (-len(s), s))
        )
        if is_distinctive(name):
            parts.append(f"(?:^|{_NOT_WORD})(?:{spelled})(?:{_NOT_WORD}|$)")
        else:
            fields = "|".join(re.escape(path.split(".")[-1]) for path in _fields(IDENTITY_FIELDS))
            parts.append(rf'"(?:{fields})"\s*:\s*"?\s*(?:{spelled})\s*(?:["\s,}}]|$)')
    return "|".join(parts)


def word_pattern(ids: Iterable[str]) -> str:
    """Finds any id as a word, distinctive or not: for files that can be written again."""
    spelled = "|".join(re.escape(name) for name in ids)
    return f"(?<!{_WORD})(?:{spelled})(?!{_WORD})"


@dataclass(frozen=True)
class Forgotten:
    """The ids that a command names, and the list of everything that was ever forgotten.

    Attributes:
        ids: as given.
        salt: of the hashes.
        hashes: by kind: visitor, search, session, text.
    """

    ids: tuple[str, ...]
    salt: str
    hashes: Mapping[str, frozenset[str]]

    def holds(self, kind: str, value: Any) -> bool:
        """Whether a value, as a log spells it, is on the list."""
        if value is None or isinstance(value, dict | list | bool):
            return False
        text = str(value).strip()
        return bool(text) and salted_hash(self.salt, text) in self.hashes[kind]

    def names(self, document: Mapping[str, Any]) -> bool:
        """Whether a row of a log carries a forgotten id, or belongs to a forgotten search."""
        lowered = {str(name).lower(): value for name, value in document.items()}
        places = [lowered]
        places += [lowered[n] for n in NESTED_FIELDS if isinstance(lowered.get(n), dict)]
        if any(self.holds("visitor", _at(p, f)) for p in places for f in _fields(IDENTITY_FIELDS)):
            return True
        return any(self.holds("search", _at(lowered, field)) for field in _fields(SEARCH_FIELDS))

    def is_mentioned(self, text: str) -> bool:
        """Whether a text holds one of the ids, or is a forgotten unreadable line."""
        return re.search(mention_pattern(self.ids), text) is not None or self.holds("text", text)


def _fields(columns: Iterable[str]) -> list[str]:
    """Where logs of any declared format have these columns."""
    columns = tuple(columns)
    called = {one.called(name) for one in log_formats().values() for name in columns}
    return [*columns, *sorted(called - set(columns))]


def _at(document: Mapping[str, Any], path: str) -> Any:
    """The value under a name or a path of names, in whatever case."""
    lowered = {str(name).lower(): value for name, value in document.items()}
    first, _, rest = path.lower().partition(".")
    if path.lower() in lowered or not rest:
        return lowered.get(path.lower())
    inner = lowered.get(first)
    return _at(inner, rest) if isinstance(inner, dict) else None


def _in_json(text: str) -> tuple[str, str]:
    return json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]
