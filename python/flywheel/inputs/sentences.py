"""How names and errors from files appear in a sentence."""

from typing import Any


def listed(names: Any, conjunction: str = "and") -> str:
    """A list for a sentence; a long one is cut, since a wide table has hundreds of columns."""
    shown = [_shown(str(name)) for name in names]
    if not shown:
        return "nothing"
    if len(shown) > 30:
        return f"{', '.join(shown[:30])} and {len(shown) - 30} more"
    if len(shown) == 1:
        return shown[0]
    return f"{', '.join(shown[:-1])} {conjunction} {shown[-1]}"


def _shown(name: str) -> str:
    """A name from a file, fit for a terminal: short, and nothing that a terminal would obey."""
    plain = "".join(c if c.isprintable() else "?" for c in name)
    return plain if len(plain) <= 60 else f"{plain[:60]}..."


def first_line(error: Exception) -> str:
    """An error's first line, fit for a terminal, without its full stop."""
    line = (str(error).splitlines() or ["unknown error"])[0]
    return "".join(c if c.isprintable() else "?" for c in line).rstrip(".")
