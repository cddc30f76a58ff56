"""Who imports whom among the modules of a package, read from their sources."""

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

Graph = Mapping[str, frozenset[str]]


def imports(root: Path) -> Graph:
    """Module -> what it imports, at the top or within functions, by dotted names.

    Args:
        root: folder of a package. Names that its modules import from one of its packages count as
            imports of the module where there is one of that name.
    """
    sources = {_name(root, path): path for path in sorted(root.rglob("*.py"))}
    return {
        name: frozenset(_imported(path.read_text(encoding="utf-8"), sources)) - {name}
        for name, path in sources.items()
    }


def cycle(graph: Graph) -> list[str] | None:
    """Modules that import one another in a ring, or None."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def _name(root: Path, path: Path) -> str:
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(text: str, sources: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                yield module if module in sources else str(node.module)
