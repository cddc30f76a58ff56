"""The SQL that models are built from, to tell whether what was measured of them still holds."""

import re
from collections.abc import Iterable

from flywheel import variables
from flywheel.dbt import parse
from flywheel.settings import Settings

PROJECT = "eval_flywheel"


def built_from(settings: Settings, models: Iterable[str]) -> str:
    """All that these models rest on: SQL without comments and layout, and the vars that it reads.

    Args:
        settings: names the project.
        models: names.

    Returns:
        The text of these models and of all that they read, of the project's macros that either
        call, and the checksums of seeds, in the order of their names.

    Raises:
        FlywheelError: dbt cannot parse the project.
    """
    manifest = parse(settings)
    ids = [f"model.{PROJECT}.{name}" for name in models]
    texts: dict[str, str] = {}
    while ids:
        one = ids.pop()
        node = manifest.nodes.get(one) or manifest.macros.get(one)
        if one in texts or node is None or node.package_name != PROJECT:
            continue
        if node.resource_type == "seed":
            texts[one] = node.checksum.checksum
            continue
        is_macro = node.resource_type == "macro"
        texts[one] = without_comments(node.macro_sql if is_macro else node.raw_code)
        ids += node.depends_on.macros
        ids += [] if is_macro else node.depends_on.nodes
    read = sorted(set(re.findall(r"\bvar\(\s*['\"](\w+)['\"]", " ".join(texts.values()))))
    return "\n".join(
        [
            *(f"{name}: {texts[name]}" for name in sorted(texts)),
            *(f"{name} = {variables.value(settings, {}, name)}" for name in read),
        ]
    )


def without_comments(text: str) -> str:
    """SQL or a macro on one line, without its comments."""
    text = re.sub(r"\{#.*?#\}", "", re.sub(r"--[^\n]*", "", text), flags=re.DOTALL)
    return " ".join(text.split())
