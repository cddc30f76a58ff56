"""What an expectation expects, and what it met, as short phrases."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any

MAX_VALUE_LENGTH = 60
MAX_EXAMPLES = 3


def expected(kind: str, kwargs: Mapping[str, Any]) -> str:
    """Say what an expectation asks for.

    Args:
        kind: Great Expectations' name of it.
        kwargs: its arguments.
    """
    bounds = _bounds(kwargs)
    phrases = {
        "expect_column_values_to_not_be_null": "never null",
        "expect_column_values_to_be_unique": "each value once",
        "expect_compound_columns_to_be_unique": "each combination once",
        "expect_column_values_to_be_between": f"values {bounds}",
        "expect_column_mean_to_be_between": f"mean {bounds}",
        "expect_column_sum_to_be_between": f"sum {bounds}",
        "expect_column_min_to_be_between": f"minimum {bounds}",
        "expect_column_max_to_be_between": f"maximum {bounds}",
        "expect_table_row_count_to_be_between": f"number of rows {bounds}",
        "unexpected_rows_expectation": "no such row",
    }
    if kind in phrases:
        phrase = phrases[kind]
    elif kind == "expect_column_values_to_be_in_set":
        phrase = "one of " + ", ".join(str(value) for value in kwargs["value_set"])
    elif kind == "expect_column_pair_values_a_to_be_greater_than_b":
        sign = ">=" if kwargs.get("or_equal") else ">"
        phrase = f"{kwargs['column_A']} {sign} {kwargs['column_B']}"
    elif kind == "expect_no_drift":
        phrase = f"no drift of {str(kwargs.get('measure')).replace('_', ' ')}"
    else:
        phrase = json.dumps(dict(kwargs), default=str)
    if kwargs.get("mostly", 1) != 1:
        phrase += f" in at least {kwargs['mostly']:.0%} of the rows"
    return phrase


def observed(result: Mapping[str, Any], *, examples: bool = True) -> str:
    """Say what Great Expectations met.

    Args:
        result: the `result` of one of its validation results.
        examples: False leaves out the values of rows, which may be somebody's.
    """
    shown = _examples if examples else _no_examples
    if "unexpected_count" in result:
        bad, total = result["unexpected_count"], result.get("element_count") or 0
        if not bad:
            return f"none of {_number(total)} rows"
        percent = 100 * bad / total if total else 0.0
        share = f" ({percent:{'.0f' if percent >= 10 else '.2g'}} %)" if total else ""
        return f"{_number(bad)} of {_number(total)} rows{share}" + shown(
            result.get("partial_unexpected_list") or []
        )
    value = result.get("observed_value")
    rows = (result.get("details") or {}).get("unexpected_rows")
    if rows is not None:
        return f"{_number(value)} row{'' if value == 1 else 's'}" + shown(rows)
    if "distance" in (result.get("details") or {}):
        return str(value)
    if not examples and not isinstance(value, int | float | None):
        return "(not kept)"
    return _number(value)


def observed_value(result: Mapping[str, Any]) -> float | None:
    """The number that was met, or None: a mean, a sum, a count of rows, a drift's distance.

    Args:
        result: the `result` of one of Great Expectations' validation results.
    """
    details = result.get("details") or {}
    value = details["distance"] if "distance" in details else result.get("observed_value")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def unexpected_count(result: Mapping[str, Any]) -> int | None:
    """Rows that break the expectation, or None where it is not about rows.

    Args:
        result: the `result` of one of Great Expectations' validation results.
    """
    if "unexpected_count" in result:
        # An empty table has no count, and nothing in it is unexpected.
        return int(result["unexpected_count"] or 0)
    if "unexpected_rows" in (result.get("details") or {}):
        return int(result["observed_value"])
    return None


def error(info: Mapping[str, Any] | None) -> str | None:
    """Say why Great Expectations could not evaluate an expectation, or None if it could.

    Args:
        info: the `exception_info` of one of its validation results: one raised exception, or one
            for each metric.
    """
    if not info:
        return None
    for raised in [info] if "raised_exception" in info else info.values():
        if raised.get("raised_exception"):
            return first_line(raised.get("exception_message") or "unknown error")
    return None


def first_line(message: object) -> str:
    """The first line of an error, without the wrappings of the layers it came through."""
    lines = str(message).strip().splitlines() or ["unknown error"]
    text = re.sub(r"^(Error: |\(_?duckdb\.\w+\) )+", "", lines[0].strip()).rstrip(".!")
    return text.replace(" in BatchData does not exist", " does not exist")


def _bounds(kwargs: Mapping[str, Any]) -> str:
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is not None and high is not None:
        return f"from {low} to {high}"
    if low is not None:
        return f"above {low}" if kwargs.get("strict_min") else f"of at least {low}"
    return f"below {high}" if kwargs.get("strict_max") else f"of at most {high}"


def _number(value: Any) -> str:
    if value is None:
        return "no value"
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        if math.isfinite(value) and value == int(value):
            return f"{int(value):,}"
        return f"{value:.4g}"
    return short(value)


def _no_examples(values: list[Any]) -> str:
    return ""


def _examples(values: list[Any]) -> str:
    seen = []
    for value in values:
        if value is None:
            continue
        if isinstance(value, Mapping):
            text = ", ".join(f"{key} {short(item)}" for key, item in value.items())
        else:
            text = short(value)
        if text not in seen:
            seen.append(text)
    return f", for example {'; '.join(seen[:MAX_EXAMPLES])}" if seen else ""


def short(value: Any) -> str:
    """One printable line of at most `MAX_VALUE_LENGTH` characters."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text if len(text) <= MAX_VALUE_LENGTH else text[: MAX_VALUE_LENGTH - 1] + "…"
