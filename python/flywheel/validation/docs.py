"""The Data Docs' index, and what makes their pages readable anywhere.

Great Expectations' own index is a script that is empty without the network, so this is written
in its place: what does not hold, then every contract with its newest result.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader

from flywheel.validation import schemas, words
from flywheel.validation.report import Skipped
from flywheel.validation.suites import Suite

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; font-src 'self'"

_SCRIPTS = re.compile(r"<script\b.*?</script>", re.DOTALL | re.IGNORECASE)
_REMOTE_LINKS = re.compile(r"<link\b[^>]*https?://[^>]*>", re.IGNORECASE)
_REMOTE_IMAGES = re.compile(r"<img\b[^>]*https?://[^>]*>", re.IGNORECASE)
_STYLES = re.compile(r"<style\b.*?</style>", re.DOTALL | re.IGNORECASE)
_FOOTERS = re.compile(r"<footer\b.*?</footer>", re.DOTALL | re.IGNORECASE)
_HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)


_PAGES = Environment(
    loader=PackageLoader("flywheel.validation", "pages"), autoescape=True, trim_blocks=True
)


@dataclass(frozen=True)
class _Failure:
    """One expectation that does not hold, with the query that finds its rows, if it is one."""

    status: str
    rule: str
    observed: str
    query: str


@dataclass(frozen=True)
class _Page:
    """What the index says about one suite."""

    suite: Suite
    status: str
    note: str
    judged_at: str
    result: str | None
    contract: str
    failures: tuple[_Failure, ...]


def write_index(
    site: Path, validations: Path, suites: Iterable[Suite], skipped: Iterable[Skipped]
) -> Path:
    """Write the page that leads to all others.

    Args:
        site: the folder Great Expectations built the pages in.
        validations: its store of results, one JSON file per suite.
        suites: all declared suites, in the index's order.
        skipped: suites that were not judged, with the reason.

    Returns:
        The index page.
    """
    reasons = {(skip.gate, skip.table): skip.reason for skip in skipped}
    index = site / "index.html"
    index.write_text(
        _PAGES.get_template("index.html.j2").render(
            policy=POLICY,
            style=load_style(),
            pages=[_page(site, validations, suite, reasons) for suite in suites],
            written_at=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        ),
        encoding="utf-8",
    )
    return index


def load_style() -> str:
    """The style sheet of all pages."""
    return _PAGES.get_template("style.css").render()


def stand_alone(page: str, style: str) -> str:
    """Take the scripts and everything remote out of an HTML page.

    Args:
        page: the HTML text.
        style: the style sheet to put in.
    """
    for pattern in (_SCRIPTS, _REMOTE_LINKS, _STYLES, _FOOTERS):
        page = pattern.sub("", page)
    page = _REMOTE_IMAGES.sub("Data Docs", page)
    head = (
        f'<head><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<style>{style}</style>"
    )
    return _HEAD.sub(lambda _: head, page, count=1)


def _page(
    site: Path, validations: Path, suite: Suite, reasons: dict[tuple[str, str], str]
) -> _Page:
    contract = f"expectations/{suite.gate}/{suite.table}.html"
    files = sorted((validations / suite.gate / suite.table).rglob("*.json"))
    if not files:
        reason = reasons.get((suite.gate, suite.table))
        status = "skipped" if reason else "not judged yet"
        return _Page(suite, status, reason or "", "", None, contract, ())
    content = json.loads(files[-1].read_text(encoding="utf-8"))
    results = sorted(
        content["results"], key=lambda result: result["expectation_config"]["meta"]["position"]
    )
    failures = tuple(_failure(suite, result) for result in results if not result["success"])
    stops = any(failure.status == "stop" for failure in failures)
    result = Path("validations") / files[-1].relative_to(validations).with_suffix(".html")
    judged_at = datetime.fromisoformat(content["meta"]["validation_time"])
    return _Page(
        suite=suite,
        status="stop" if stops else "warn" if failures else "pass",
        note=f"{len(results) - len(failures)} of {len(results)} hold",
        judged_at=judged_at.strftime("%Y-%m-%d %H:%M UTC"),
        result=result.as_posix() if (site / result).exists() else None,
        contract=contract,
        failures=failures,
    )


def _failure(suite: Suite, result: dict[str, Any]) -> _Failure:
    configuration = result["expectation_config"]
    error = words.error(result["exception_info"])
    query = configuration["kwargs"].get("unexpected_rows_query", "")
    return _Failure(
        status="warn" if configuration["severity"] == "warning" and error is None else "stop",
        rule=configuration["description"],
        observed=error or words.observed(result["result"]),
        query=query.replace("{batch}", f"{schemas.quote(suite.schema)}.{suite.table}").strip(),
    )
