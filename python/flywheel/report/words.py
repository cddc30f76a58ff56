"""How the report writes numbers, times, intervals and names."""

import json
import math
import re
from datetime import date, datetime
from typing import Any

NOTHING = "–"
NOT_PRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\ud800-\udfff\ufffe\uffff]")

# Names the tables use, in words. A name that is not here is shown as it stands.
NAMES = {
    "roll_back": "roll back",
    "rolled_back": "rolled back",
    "ctr": "CTR",
    "success": "session success",
    "session_success": "session success",
    "logged": "logged order",
    "mrr": "MRR",
    "not_trainable": "not trainable",
    "not_better": "not better",
    "relative_clicks": "relative clicks",
}


def plain_label(value: Any, length: int = 40) -> str:
    """A name for a picture or a table: in words, without control characters, not too long."""
    text = clean("" if value is None else str(value))
    text = NAMES.get(text, text.replace("_", " "))
    return text if len(text) <= length else text[: length - 1] + "…"


def clean(value: str) -> str:
    """Text without characters that neither XML nor a reader can use."""
    return NOT_PRINTABLE.sub("�", value)


def text(value: Any) -> str:
    """Any value as one line."""
    return NOTHING if value is None or value == "" else clean(str(value))


def whole(value: Any) -> str:
    """12345 as 12,345."""
    return NOTHING if not _is_number(value) else f"{int(value):,}"


def number(value: Any, digits: int = 3) -> str:
    """A measured number with a fixed number of decimals and a true minus sign."""
    if not _is_number(value):
        return NOTHING
    rounded = round(float(value), digits)
    return f"{rounded + 0.0:,.{digits}f}".replace("-", "−")


def amount(value: Any) -> str:
    """A count without decimals, any other number with three."""
    return number(value, 0 if _is_number(value) and float(value).is_integer() else 3)


def plain(value: Any) -> str:
    """A number somebody set, with the decimals it was set with."""
    return NOTHING if not _is_number(value) else f"{value:g}"


def signed(value: Any, digits: int = 4) -> str:
    """A difference, always with its sign."""
    if not _is_number(value):
        return NOTHING
    rounded = round(float(value), digits)
    return f"{rounded:+,.{digits}f}".replace("-", "−") if rounded else f"{0:.{digits}f}"


def share(value: Any, digits: int = 1) -> str:
    """0.123 as 12.3%. A share that is neither nothing nor everything never reads as 0% or 100%."""
    if not _is_number(value):
        return NOTHING
    percent = float(value) * 100
    edge = 10**-digits
    if 0 < percent < edge / 2:
        return f"<{edge:.{digits}f}%"
    if 100 - edge / 2 < percent < 100:
        return f">{100 - edge:.{digits}f}%"
    return f"{percent:.{digits}f}%".replace("-", "−")


def points(value: Any, digits: int = 2) -> str:
    """A difference of two shares in percentage points."""
    return NOTHING if not _is_number(value) else f"{signed(float(value) * 100, digits)} pp"


def percent(value: Any, digits: int = 1) -> str:
    """A relative difference in percent, always with its sign."""
    return NOTHING if not _is_number(value) else f"{signed(float(value) * 100, digits)} %"


def interval(low: Any, high: Any, digits: int = 3) -> str:
    """[low, high]."""
    if not _is_number(low) or not _is_number(high):
        return NOTHING
    return f"[{number(low, digits)}, {number(high, digits)}]"


def measure(value: Any, kind: Any) -> str:
    """A canary's metric: in percent, or as it stands where it is an amount."""
    return number(value) if kind == "amount" else share(value, 2)


def difference(value: Any, kind: Any) -> str:
    """A difference of a canary's metric: in percentage points, or as it stands of amounts."""
    if kind != "amount":
        return points(value)
    return NOTHING if not _is_number(value) else signed(value, 3)


def difference_interval(low: Any, high: Any, kind: Any) -> str:
    """Its interval: in percentage points, or as it stands of amounts."""
    if kind != "amount":
        return points_interval(low, high)
    if not _is_number(low) or not _is_number(high):
        return NOTHING
    return f"[{signed(low, 3)}, {signed(high, 3)}]"


def points_interval(low: Any, high: Any, digits: int = 2) -> str:
    """An interval of a difference of two shares, in percentage points."""
    if not _is_number(low) or not _is_number(high):
        return NOTHING
    return f"[{signed(low * 100, digits)}, {signed(high * 100, digits)}]"


def p_value(value: Any) -> str:
    """A p-value; below 0.001 only that much is said."""
    if not _is_number(value):
        return NOTHING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def e_value(value: Any) -> str:
    """An e-value: evidence against 'no difference'; beyond a million only that much is said."""
    if value is None or math.isnan(value):
        return NOTHING
    if value >= 1e6:
        return ">1,000,000"
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"


def moment(value: Any) -> str:
    """A time in UTC, to the minute; a date as it is."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M")
    if isinstance(value, date):
        return value.isoformat()
    return text(value)


def day(value: Any) -> str:
    """The date of a time."""
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d")
    return moment(value)


def period(start: Any, end: Any) -> str:
    """A half-open period; times of day appear only where they matter."""
    if start is None or end is None:
        return NOTHING
    is_whole_days = all(
        isinstance(value, datetime) and value.time() == datetime.min.time()
        for value in (start, end)
    )
    show = day if is_whole_days else moment
    return f"{show(start)} to {show(end)}"


def metric_name(value: Any) -> str:
    """`snips_ndcg_at_10` as `SNIPS nDCG@10`."""
    words = clean("" if value is None else str(value))
    if words in NAMES:
        return NAMES[words]
    words = re.sub(r"_at_(\d+)", r"@\1", words).replace("_", " ")
    for plain, proper in (
        ("snips", "SNIPS"), ("ips", "IPS"), ("ndcg", "nDCG"), ("dcg", "DCG"), ("mrr", "MRR"),
        ("ctr", "CTR"), ("map", "MAP"), ("sat", "SAT"),
    ):  # fmt: skip
        words = re.sub(rf"\b{plain}\b", proper, words)
    return words if len(words) <= 40 else words[:39] + "…"


def numbers_of(value: Any, limit: int = 4) -> list[tuple[str, float]]:
    """The first measures of a JSON object, by name (counts `n_…` left out); nothing if none."""
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return []
    if not isinstance(found, dict):
        return []
    pairs = [
        (str(name), float(item))
        for name, item in found.items()
        if isinstance(item, int | float)
        and not isinstance(item, bool)
        and math.isfinite(item)
        and not str(name).startswith("n_")
    ]
    return pairs[:limit]


def sentence(value: Any) -> str:
    """Text that ends with one full stop."""
    return text(value).rstrip(".") + "."


def _is_number(value: Any) -> bool:
    return value is not None and math.isfinite(value)


FILTERS = {
    "text": text,
    "sentence": sentence,
    "whole": whole,
    "number": number,
    "plain": plain,
    "signed": signed,
    "share": share,
    "p_value": p_value,
    "e_value": e_value,
    "moment": moment,
    "day": day,
    "label": plain_label,
    "metric_name": metric_name,
    "percent": percent,
    "amount": amount,
    "numbers_of": numbers_of,
}
