"""The mutants of one SQL text: which there are, and how to put one into a text of the same model.

The text that dbt built, the text of each unit test (whose inputs are fixtures and whose vars may
differ) and the text that the SQL tests of pytest render are different texts of one model. A mutant
is therefore a place (scope and path in its syntax tree) and a change, and `apply` looks the place
up in any of them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import sqlglot
from sqlglot import exp

DIALECT = "duckdb"
FIXTURE = "__dbt__cte__"
"""How dbt begins the names of the CTEs that stand for a unit test's inputs."""
CONTEXT = 5
"""Words shown on either side of a change."""

Path = tuple[tuple[str, int | None], ...]
Change = Callable[[exp.Expression], exp.Expression | None]
"""Changes a node in place (and returns None), or returns what replaces it."""


@dataclass(frozen=True)
class Mutant:
    """One change of one model.

    `label` shows the change between the words around it; `nth` (from 1) tells equal labels of one
    scope apart.
    """

    model: str
    scope: str
    kind: str
    label: str
    nth: int
    path: Path
    operator: str

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What names the mutant in the list of survivors."""
        return self.model, self.scope, self.label, self.nth

    def __str__(self) -> str:
        nth = f" ({self.nth})" if self.nth > 1 else ""
        return f"{self.model}, {self.scope}: {self.label}{nth}"


def mutants(model: str, sql: str) -> list[Mutant]:
    """Every mutant of a model's SQL, in the order of the text; no two give the same SQL."""
    found: list[Mutant] = []
    for name, scope in _scopes(sql).items():
        labels: Counter[str] = Counter()
        seen = {_text(scope)}
        before = _words(_text(scope))
        for path, operator in _places(scope):
            changed = _changed(scope, path, operator)
            if changed is None or _text(changed) in seen:
                continue
            seen.add(_text(changed))
            label = _difference(before, _words(_text(changed)))
            labels[label] += 1
            kind = operator.split(" ")[0]
            found.append(Mutant(model, name, kind, label, labels[label], path, operator))
    return found


def apply(mutant: Mutant, sql: str, original: str) -> str | None:
    """The text with the mutant in it, or None where the text has no such place.

    Args:
        mutant: what to put in.
        sql: a text of the model.
        original: the text whose mutant this is.
    """
    scope = _scopes(sql).get(mutant.scope)
    if scope is None:
        return None
    if _shape(sql, mutant.scope) == _shape(original, mutant.scope):
        return _with_scope(sql, mutant.scope, _changed(scope, mutant.path, mutant.operator))
    # A var changed what the template renders: the same words changed in the same way will do.
    for other in _mutants(mutant.model, sql):
        if other.key == mutant.key:
            return _with_scope(sql, mutant.scope, _changed(scope, other.path, other.operator))
    return None


def normal(sql: str) -> str:
    """The text as `apply` writes it, without a change."""
    return _text(_tree(sql))


@cache
def _mutants(model: str, sql: str) -> list[Mutant]:
    return mutants(model, sql)


@cache
def _tree(sql: str) -> exp.Expression:
    return sqlglot.parse_one(sql, dialect=DIALECT)


def _text(tree: exp.Expression) -> str:
    return tree.sql(dialect=DIALECT, comments=False)


def _ctes(tree: exp.Expression) -> dict[str, exp.Expression]:
    """The model's own CTEs by name."""
    clause = tree.args.get("with_")
    found = {cte.alias: cte for cte in clause.expressions} if clause else {}
    return {name: cte for name, cte in found.items() if not name.startswith(FIXTURE)}


@cache
def _scopes(sql: str) -> dict[str, exp.Expression]:
    """The model's own CTEs by name, and what comes after them as `select`, each on its own."""
    ctes = {name: cte.this.copy() for name, cte in _ctes(_tree(sql)).items()}
    select = _tree(sql).copy()
    select.set("with_", None)
    return ctes | {"select": select}


def _with_scope(sql: str, scope: str, changed: exp.Expression | None) -> str | None:
    """The whole text with one scope replaced."""
    if changed is None:
        return None
    tree = _tree(sql).copy()
    if scope == "select":
        changed.set("with_", tree.args.get("with_"))
        return _text(changed)
    _ctes(tree)[scope].set("this", changed)
    return _text(tree)


def _children(node: exp.Expression) -> Iterator[tuple[tuple[str, int | None], exp.Expression]]:
    for name, value in node.args.items():
        if isinstance(value, exp.Expression):
            yield (name, None), value
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, exp.Expression):
                    yield (name, index), item


def _walk(node: exp.Expression, path: Path = ()) -> Iterator[tuple[Path, exp.Expression]]:
    """Nodes with their paths, parents first."""
    yield path, node
    for step, child in _children(node):
        yield from _walk(child, (*path, step))


@cache
def _shape(sql: str, scope: str) -> tuple[object, ...]:
    """What two texts share where the same paths lead to the same places."""
    return tuple(
        (path, type(node).__name__)
        for path, node in _walk(_scopes(sql)[scope])
        # Fixtures have other table names, and not all have a schema.
        if not isinstance(node, exp.Identifier)
    )


def _changed(scope: exp.Expression, path: Path, operator: str) -> exp.Expression | None:
    # Under a parent of its own, so that the scope's own root can be replaced too.
    holder = exp.Subquery(this=scope.copy())
    node = holder.this
    for name, index in path:
        value = node.args[name]
        node = value if index is None else value[index]
    change = dict(_changes(node)).get(operator)
    if change is None:
        return None
    replacement = change(node)
    if replacement is not None:
        node.replace(replacement)
    return holder.this


def _words(text: str) -> list[str]:
    return re.findall(r"'(?:[^']|'')*'|\"[^\"]*\"|[\w.]+|<>|<=|>=|\|\||\S", text)


def _difference(before: list[str], after: list[str]) -> str:
    """The changed words between those around them: `n_days [>= -> >] 14`."""
    shorter = min(len(before), len(after))
    start = next((i for i in range(shorter) if before[i] != after[i]), shorter)
    rest = shorter - start
    end = next((i for i in range(rest) if before[-1 - i] != after[-1 - i]), rest)
    old, new = before[start : len(before) - end], after[start : len(after) - end]
    left = before[max(0, start - CONTEXT) : start]
    right = before[len(before) - end :][:CONTEXT]
    change = f"[{_shortened(old)} -> {_shortened(new)}]"
    return _tidy(" ".join([*left, change, *right]))


def _shortened(words: list[str]) -> str:
    if len(words) > 16:
        words = [*words[:8], "...", *words[-7:]]
    return _tidy(" ".join(words)) or "nothing"


def _tidy(text: str) -> str:
    text = re.sub(r"\( ", "(", text)
    return re.sub(r" ([),])", r"\1", re.sub(r"(\w) \(", r"\1(", text)).lower()


# What can be changed

COMPARISONS = {
    exp.LT: exp.LTE,
    exp.LTE: exp.LT,
    exp.GT: exp.GTE,
    exp.GTE: exp.GT,
    exp.EQ: exp.NEQ,
    exp.NEQ: exp.EQ,
}
ARITHMETIC = {exp.Add: exp.Sub, exp.Sub: exp.Add, exp.Mul: exp.Div, exp.Div: exp.Mul}
FUNCTIONS = {
    exp.Max: exp.Min,
    exp.Min: exp.Max,
    exp.ArgMax: exp.ArgMin,
    exp.ArgMin: exp.ArgMax,
    exp.LogicalOr: exp.LogicalAnd,
    exp.LogicalAnd: exp.LogicalOr,
    exp.Greatest: exp.Least,
    exp.Least: exp.Greatest,
    exp.Sum: exp.Count,
    exp.Avg: exp.Max,
    exp.Lead: exp.Lag,
    exp.Lag: exp.Lead,
    exp.FirstValue: exp.LastValue,
    exp.LastValue: exp.FirstValue,
    exp.Floor: exp.Ceil,
    exp.Ceil: exp.Floor,
}


def _places(scope: exp.Expression) -> Iterator[tuple[Path, str]]:
    for path, node in _walk(scope):
        for operator, _ in _changes(node):
            yield path, operator


def _changes(node: exp.Expression) -> Iterator[tuple[str, Change]]:
    """The changes of one node: kind, a space and which one; then what does it."""
    if type(node) in COMPARISONS:
        yield "comparison", lambda n: COMPARISONS[type(n)](this=n.this, expression=n.expression)
    elif isinstance(node, exp.Between):
        yield "comparison low", lambda n: _bounds(n, exp.GT, exp.LTE)
        yield "comparison high", lambda n: _bounds(n, exp.GTE, exp.LT)
    elif isinstance(node, (exp.And, exp.Or)) and not isinstance(node.expression, exp.Boolean):
        yield "connector", _other_connector
    elif type(node) in ARITHMETIC:
        yield (
            "arithmetic",
            lambda n: ARITHMETIC[type(n)](this=n.this, expression=n.expression),
        )
    elif isinstance(node, exp.Neg) and not isinstance(node.this, exp.Literal):
        yield "arithmetic sign", lambda n: n.this
    elif isinstance(node, (exp.Literal, exp.Boolean)):
        yield from _constants(node)
    elif isinstance(node, exp.Not):
        yield "not", lambda n: n.this
    elif isinstance(node, exp.Is) and not isinstance(node.parent, exp.Not):
        yield "not added", lambda n: exp.Not(this=n.copy())
    elif isinstance(node, exp.Join):
        yield from _joins(node)
    elif isinstance(node, exp.Union):
        yield "union", lambda n: n.set("distinct", not n.args.get("distinct"))
    elif isinstance(node, exp.Coalesce):
        for i in range(len(node.expressions)):
            yield f"coalesce {i}", lambda n, i=i: _without_default(n, i)
    elif isinstance(node, exp.Nullif):
        yield "nullif", lambda n: n.this
    elif isinstance(node, exp.Abs):
        yield "function abs", lambda n: n.this
    elif isinstance(node, exp.Case):
        for i in range(len(node.args["ifs"])):
            yield f"case {i}", lambda n, i=i: _without_branch(n, i)
        if not isinstance(node.args.get("default") or exp.Null(), exp.Null):
            yield "case else", lambda n: n.set("default", None)
    elif isinstance(node, exp.Window):
        for i in range(len(node.args.get("partition_by") or [])):
            yield f"window partition {i}", lambda n, i=i: _drop(n, "partition_by", i)
        if node.args.get("spec"):
            yield "window frame", lambda n: n.set("spec", None)
    elif isinstance(node, exp.Ordered):
        yield "order", _other_direction
    elif isinstance(node, (exp.Where, exp.Having, exp.Qualify)):
        yield from _conditions(node, "this", "where")
    elif isinstance(node, exp.Distinct):
        yield "distinct", _without_distinct
    if type(node) in FUNCTIONS:
        yield "function", _other_function


def _bounds(node: exp.Between, low: type, high: type) -> exp.Expression:
    lower = low(this=node.this.copy(), expression=node.args["low"])
    upper = high(this=node.this.copy(), expression=node.args["high"])
    return exp.Paren(this=exp.And(this=lower, expression=upper))


def _other_connector(node: exp.Expression) -> exp.Expression:
    def closed(side: exp.Expression) -> exp.Expression:
        return exp.Paren(this=side) if isinstance(side, exp.Connector) else side

    other = exp.Or if isinstance(node, exp.And) else exp.And
    return exp.Paren(this=other(this=closed(node.this), expression=closed(node.expression)))


def _constants(node: exp.Expression) -> Iterator[tuple[str, Change]]:
    parent = node.parent
    # Types are the contract's business, ordinals name columns, and count() counts any constant.
    if isinstance(parent, (exp.DataTypeParam, exp.DataType, exp.Ordered, exp.Group)):
        return
    if isinstance(parent, exp.If) and isinstance(parent.parent.parent, exp.Count):
        if node.arg_key == "true":
            return
    # `where true` is what a rebuild puts for the scope of an incremental run.
    if isinstance(node, exp.Boolean) and isinstance(parent, (exp.Where, exp.And)):
        return
    # Only the parser's: nobody wrote how nulls are sorted.
    if isinstance(parent, exp.ArraySort):
        return
    if isinstance(node, exp.Boolean):
        yield "constant", lambda n: exp.Boolean(this=not n.this)
    elif isinstance(parent, exp.Interval):
        yield "constant x2", lambda n: exp.Literal(this=_doubled(n.this), is_string=n.is_string)
    elif node.is_string:
        yield "constant", lambda n: exp.Literal.string(n.this + "~")
    elif node.is_int:
        yield "constant +1", lambda n: exp.Literal.number(int(n.this) + 1)
        if int(node.this) > 0:
            yield "constant -1", lambda n: exp.Literal.number(int(n.this) - 1)
    else:
        yield "constant x2", lambda n: exp.Literal(this=_doubled(n.this), is_string=False)


def _doubled(number: str) -> str:
    return str(2 * int(number)) if number.isdigit() else repr(2 * float(number))


def _joins(node: exp.Join) -> Iterator[tuple[str, Change]]:
    side, kind = (node.args.get("side") or "").upper(), (node.args.get("kind") or "").upper()
    if side in ("LEFT", "RIGHT", "FULL"):

        def inner(n: exp.Expression) -> None:
            n.set("side", None)
            n.set("kind", "INNER")

        yield "join", inner
    elif kind == "INNER":

        def left(n: exp.Expression) -> None:
            n.set("side", "LEFT")
            n.set("kind", None)

        yield "join", left
    if node.args.get("on") is not None:
        for operator, change in _conditions(node, "on", "join condition"):
            if operator != "join condition":
                yield operator, change


def _conditions(node: exp.Expression, arg: str, kind: str) -> Iterator[tuple[str, Change]]:
    """Without one of the conditions that must all hold; `kind` alone is without the only one."""
    terms = list(node.args[arg].flatten()) if isinstance(node.args[arg], exp.And) else []
    for i, term in enumerate(terms):
        if isinstance(term, exp.Boolean):
            continue

        def without(n: exp.Expression, i: int = i) -> None:
            kept = [t for j, t in enumerate(n.args[arg].flatten(unnest=False)) if j != i]
            n.set(arg, exp.and_(*(t.copy() for t in kept)))

        yield f"{kind} {i}", without
    if not terms and not isinstance(node.args[arg], exp.Boolean):
        yield kind, lambda n: n.pop() and None


def _without_default(node: exp.Coalesce, index: int) -> exp.Expression | None:
    if len(node.expressions) == 1:
        return node.this
    return _drop(node, "expressions", index)


def _without_branch(node: exp.Case, index: int) -> exp.Expression | None:
    if len(node.args["ifs"]) == 1:
        return node.args.get("default") or exp.Null()
    return _drop(node, "ifs", index)


def _drop(node: exp.Expression, arg: str, index: int) -> None:
    node.set(arg, [item for i, item in enumerate(node.args[arg]) if i != index])


def _other_direction(node: exp.Ordered) -> exp.Expression:
    # Nulls stay where they were: DuckDB puts them last in either direction.
    return exp.Ordered(this=node.this, desc=not node.args.get("desc"), nulls_first=False)


def _without_distinct(node: exp.Distinct) -> exp.Expression | None:
    if isinstance(node.parent, exp.Select):
        node.parent.set("distinct", None)
        return None
    return node.expressions[0] if len(node.expressions) == 1 else None


def _other_function(node: exp.Expression) -> exp.Expression:
    return FUNCTIONS[type(node)](**{k: v for k, v in node.args.items() if v is not None})
