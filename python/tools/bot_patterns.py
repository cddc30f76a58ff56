"""Writes the seed of user-agent patterns from the `crawler-user-agents` package.

Run `PYTHONPATH=python python -m tools.bot_patterns` after raising the package's version in
requirements.in. The package (MIT licence) is named with its version in every row of the seed and
in NOTICE.
"""

import csv
import re
from importlib import metadata
from pathlib import Path

import crawleruseragents

SEED = Path(__file__).parents[2] / "seeds" / "bot_user_agent_patterns.csv"
_META = re.compile(r"[.^$*+?{}\[\]|()]")


def literal_of(pattern: str) -> str | None:
    """The plain text a pattern stands for, or None where it is a real regular expression.

    Finding a text costs far less than matching an expression, and most patterns are texts with
    their slashes and dots escaped.
    """
    without_escapes = re.sub(r"\\[^A-Za-z0-9]", "", pattern)
    if _META.search(without_escapes) or re.search(r"\\[A-Za-z0-9]", pattern):
        return None
    return re.sub(r"\\(.)", r"\1", pattern)


def write_seed(path: Path = SEED) -> int:
    """Write the seed, sorted by pattern; returns the number of patterns."""
    version = metadata.version("crawler-user-agents")
    entries = sorted(crawleruseragents.CRAWLER_USER_AGENTS_DATA, key=lambda entry: entry["pattern"])
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["pattern", "literal", "tags", "list_version"])
        for entry in entries:
            pattern = entry["pattern"]
            tags = " ".join(sorted(entry.get("tags", [])))
            list_version = f"crawler-user-agents {version}"
            writer.writerow([pattern, literal_of(pattern) or "", tags, list_version])
    return len(entries)


if __name__ == "__main__":
    print(f"{write_seed()} patterns written to {SEED}")
