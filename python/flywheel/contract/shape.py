"""Finds vars that shape what dbt parses; none may, because one manifest serves every log.

dbt renders a node's `ref`, `source` and `config` while it parses. A var that decides whether they
are called, or with what, would be fixed at its default for every run that takes the project as
parsed (`flywheel.parsed`). Looked at is the Jinja alone: nothing is rendered.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import jinja2
from jinja2 import nodes

READERS = frozenset({"var", "env_var"})
SHAPERS = frozenset({"ref", "source", "config"})
_HOOKS = ("pre-hook", "post-hook", "pre_hook", "post_hook")
"""Rendered when the node runs, so they may read whatever they like."""

_JINJA = jinja2.Environment(extensions=["jinja2.ext.do"])


def breaches(manifest: Mapping[str, Any]) -> list[str]:
    """A sentence for each place where a var shapes the parse; empty if there is none.

    Args:
        manifest: the content of a manifest.json.
    """
    project = manifest["metadata"]["project_name"]
    macros = {
        macro["name"]: _JINJA.parse(macro["macro_sql"])
        for macro in manifest["macros"].values()
        if macro["package_name"] == project and not macro["name"].startswith("test_")
    }
    readers = _that_call(macros, READERS)
    shapers = _that_call(macros, SHAPERS)
    found = [
        sentence
        for name, tree in macros.items()
        for sentence in _of_template(f"macro {name}", tree, readers, shapers)
    ]
    for node in _all_nodes(manifest):
        if node["resource_type"] in ("model", "analysis", "snapshot") or _is_singular(node):
            tree = _JINJA.parse(node["raw_code"])
            found += _of_template(node["name"], tree, readers, shapers)
        for option, value in (node.get("unrendered_config") or {}).items():
            if option not in _HOOKS and _reads(str(value), readers):
                found.append(
                    f"{node['name']}: its config {option} reads a var, which dbt would fix when "
                    "it parses; decide it in the SQL."
                )
    return found


def _all_nodes(manifest: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for kind in ("nodes", "sources", "exposures"):
        yield from manifest.get(kind, {}).values()
    for switched_off in (manifest.get("disabled") or {}).values():
        yield from switched_off


def _is_singular(node: Mapping[str, Any]) -> bool:
    return node["resource_type"] == "test" and not node.get("test_metadata")


def _reads(text: str, readers: frozenset[str]) -> bool:
    return bool(set(re.findall(r"\b(\w+)\s*\(", text)) & readers)


def _that_call(macros: Mapping[str, nodes.Template], wanted: frozenset[str]) -> frozenset[str]:
    """`wanted`, and the macros that call one of them, directly or through others."""
    called = {name: _called(tree) for name, tree in macros.items()}
    found = set(wanted)
    while more := {name for name, names in called.items() if names & found} - found:
        found |= more
    return frozenset(found)


def _called(tree: nodes.Node) -> set[str]:
    """Names of what a template calls; a dispatched macro counts for all its spellings."""
    names = set()
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name):
            names.add(call.node.name)
        elif isinstance(call.node, nodes.Getattr) and call.node.attr == "dispatch":
            for given in call.args[:1]:
                if isinstance(given, nodes.Const):
                    names |= {f"{engine}__{given.value}" for engine in ("default", "duckdb")}
    return names


def _of_template(
    name: str, tree: nodes.Template, readers: frozenset[str], shapers: frozenset[str]
) -> Iterator[str]:
    tainted: set[str] = set()

    def reads(node: nodes.Node) -> bool:
        names = {n.name for n in node.find_all(nodes.Name)}
        if isinstance(node, nodes.Name):
            names.add(node.name)
        called = _called(node)
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name):
            called.add(node.node.name)
        return bool(called & readers or names & tainted)

    assigned = [(a.target, a.node) for a in tree.find_all(nodes.Assign)]
    assigned += [(loop.target, loop.iter) for loop in tree.find_all(nodes.For)]
    for _ in range(len(assigned)):
        before = len(tainted)
        for target, value in assigned:
            if reads(value):
                tainted |= {n.name for n in [target, *target.find_all(nodes.Name)]
                            if isinstance(n, nodes.Name)}  # fmt: skip
        if len(tainted) == before:
            break

    def visit(node: nodes.Node, decided: bool) -> Iterator[str]:
        if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name):
            called = node.node.name
            given = [*node.args, *(keyword.value for keyword in node.kwargs)]
            if called in shapers and decided:
                yield (
                    f"{name}: a var decides whether {called}() is called, which dbt would fix "
                    "when it parses; call it always, and decide in the SQL."
                )
            elif called in SHAPERS and any(map(reads, given)):
                yield (
                    f"{name}: a var decides what {called}() is given, which dbt would fix when "
                    "it parses; decide it in the SQL."
                )
        if isinstance(node, nodes.If | nodes.CondExpr):
            decided = decided or reads(node.test)
        elif isinstance(node, nodes.For):
            decided = decided or reads(node.iter)
        for child in node.iter_child_nodes():
            yield from visit(child, decided)

    yield from visit(tree, False)
