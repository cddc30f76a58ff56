"""House rules for models, YAML, macros, vars and exposures, checked on the manifest alone.

Each rule is a function that yields one sentence for each breach; `RULES` names them all. They need
no database: `python -m flywheel.strict` runs them after the strict parse.
"""

import re
from collections.abc import Callable, Iterator

from flywheel.contract.manifest import Project
from flywheel.contract.rooms import (
    data_flows_one_way,
    formats_end_alike,
    layers_read_downwards,
    short,
)

Rule = Callable[[Project], Iterator[str]]

_NAMES = {
    "staging": re.compile(r"(stg|base)_[a-z0-9]+__[a-z0-9_]+"),
    "intermediate": re.compile(r"int_[a-z0-9_]+"),
    "marts": re.compile(
        r"(fct|dim)_[a-z0-9_]*s|(fct|dim)_[a-z0-9_]+_(manifest|reconciliation|ledger)"
    ),
}
_MATURITIES = ("low", "medium", "high")


def breaches(project: Project) -> list[str]:
    """Everything that breaks a rule, as sentences; empty if nothing does."""
    return [sentence for rule in RULES for sentence in rule(project)]


def says_what_a_row_is(project: Project) -> Iterator[str]:
    """A model's description begins with its grain."""
    for model in project.models.values():
        if not re.match(r"One row(:| per )", model.description):
            yield f'{model.name}: its description must begin "One row per ...".'


def wears_one_dress(project: Project) -> Iterator[str]:
    """Models are laid out alike, comment alike, and call text `string`."""
    for model in project.models.values():
        if not model.sql.rstrip().endswith("\n\nselect * from final"):
            yield f"{model.name}: its last line must be `select * from final`."
        if re.search(r"^with (?!recursive$)", model.sql, re.MULTILINE):
            yield f"{model.name}: `with` stands alone on its line."
        if re.search(r"^ *-- (?!noqa|depends_on)", model.sql, re.MULTILINE):
            yield f"{model.name}: comments stand in {{# #}}, which is not sent to the engine."
        if re.search(r"\bas varchar\b(?!\[)", model.sql):
            yield f"{model.name}: text is cast as string."
        for column in model.columns:
            if column.data_type == "varchar":
                yield f"{model.name}.{column.name}: the data_type of text is string."


def describes_every_column(project: Project) -> Iterator[str]:
    """Columns are listed, described and typed."""
    for model in project.models.values():
        if not model.columns:
            yield f"{model.name}: the YAML lists no columns."
        for column in model.columns:
            if not column.description:
                yield f"{model.name}.{column.name}: has no description."
            if not column.data_type:
                yield f"{model.name}.{column.name}: has no data_type."


def tests_a_key(project: Project) -> Iterator[str]:
    """Every model has a tested key; a public one's holds nulls only where the YAML says when."""
    for model in project.models.values():
        if model.has_one_row:
            continue
        if not model.key:
            yield f"{model.name}: no test proves a key (unique, unique_combination or one_row)."
        described = {column.name: column.description for column in model.columns}
        for name in model.key:
            where = f"{model.name}.{name}"
            if name not in described:
                yield f"{where}: part of the key, and not among the columns."
            elif name in model.required:
                continue
            elif len(model.key) == 1:
                yield f"{where}: the key, and no test proves it is not null."
            elif model.access == "public" and "null" not in described[name].lower().split():
                yield (
                    f"{where}: part of the key, and no test proves it is not null; "
                    "test it, or say in its description when it is null."
                )


def counts_nulls_in_one_scan(project: Project) -> Iterator[str]:
    """A model's columns without nulls stand in one required_columns: a test each is a scan each.

    A not_null that only warns, or looks at some rows only, says what required_columns cannot.
    """
    for model in project.models.values():
        listed = {column.name for column in model.columns}
        for test in model.tests:
            if test.kind == "not_null" and test.is_promise:
                yield (
                    f"{model.name}.{test.column}: has a not_null of its own; "
                    "name it in the model's required_columns instead."
                )
            if test.kind == "required_columns":
                for name in test.arguments["columns"]:
                    if name not in listed:
                        yield (
                            f"{model.name}.{name}: in required_columns, and not among the columns; "
                            "list it, or take it out."
                        )


def marts_are_public_under_contract(project: Project) -> Iterator[str]:
    """Marts are public and have an enforced contract; nothing else is public."""
    for model in project.models.values():
        if model.layer == "marts":
            if model.access != "public":
                yield f"{model.name}: a mart must have access: public, not {model.access}."
        elif model.access == "public":
            yield f"{model.name}: public, and not a mart; move it to models/marts/ or protect it."
        if model.access == "public" and not model.has_contract:
            what = "view" if model.materialized == "view" else "table"
            yield f"{model.name}: a public {what} needs an enforced contract."


def contracts_survive_new_columns(project: Project) -> Iterator[str]:
    """An incremental model under contract says what to do when columns change."""
    for model in project.models.values():
        allowed = ("fail", "append_new_columns")
        if (
            model.has_contract
            and model.materialized == "incremental"
            and model.on_schema_change not in allowed
        ):
            yield (
                f"{model.name}: incremental under contract, so on_schema_change must be fail or "
                f"append_new_columns, not {model.on_schema_change}."
            )


def says_what_a_build_replaces(project: Project) -> Iterator[str]:
    """An incremental model says what is replaced in it in our words, never in dbt's predicates."""
    for model in project.models.values():
        if model.has_predicates:
            yield f"{model.name}: incremental_predicates; say `replaces` in its meta instead."
        if model.materialized != "incremental" or model.strategy != "replace_scope":
            continue
        if not model.replaces:
            yield f"{model.name}: incremental, and its meta does not say what it `replaces`."


def has_an_owner(project: Project) -> Iterator[str]:
    """Every model belongs to a group, every group has an owner one can write to."""
    for name, owner in project.groups.items():
        if not owner.name or "@" not in owner.email:
            yield f"group {name}: its owner needs a name and an email address."
    for model in project.models.values():
        if model.group is None:
            yield f"{model.name}: belongs to no group."
        elif model.group not in project.groups:
            yield f"{model.name}: its group {model.group} is not in models/_groups.yml."


def exposures_rest_on_contracts(project: Project) -> Iterator[str]:
    """Exposures are described and owned, and read public tables only, never views."""
    by_id = {model.unique_id: model for model in project.models.values()}
    for exposure in project.exposures:
        where = f"exposure {exposure.name}"
        if not exposure.description:
            yield f"{where}: has no description."
        if exposure.maturity not in _MATURITIES:
            yield f"{where}: needs a maturity, one of {', '.join(_MATURITIES)}."
        if not exposure.owner.name or "@" not in exposure.owner.email:
            yield f"{where}: its owner needs a name and an email address."
        if not exposure.reads:
            yield f"{where}: names nothing it depends on."
        for node in exposure.reads:
            model = by_id.get(node)
            if model is None or model.access != "public":
                yield f"{where}: depends on {short(node)}, which is not public."
            elif model.materialized == "view":
                yield f"{where}: depends on {model.name}, a view; depend on tables."


def names_show_the_layer(project: Project) -> Iterator[str]:
    """Names are stg_<format>__..., int_..., fct_... or dim_..., in the layer's folder.

    What a format keeps to itself is called base_<format>__... and stands in staging too.
    """
    for model in project.models.values():
        pattern = _NAMES.get(model.layer)
        if pattern is None:
            yield f"{model.name}: stands in models/{model.folder}, which is no layer."
        elif not pattern.fullmatch(model.name.partition(".v")[0]):
            yield f"{model.name}: is no name for a model in models/{model.folder}."
        if model.layer in ("intermediate", "marts") and not model.area:
            yield f"{model.name}: stands in no folder of models/{model.layer}."


def columns_show_what_they_hold(project: Project) -> Iterator[str]:
    """In public tables times end like times, flags begin with is_ or has_, ids are text."""
    endings = ("_at", "_start", "_end", "_since")
    for model in project.public:
        for column in model.columns:
            kind = column.data_type.lower()
            where = f"{model.name}.{column.name}"
            if kind.startswith("timestamp") and not column.name.endswith(endings):
                yield f"{where}: a time; its name must end in {', '.join(endings)}."
            if kind == "boolean" and not column.name.startswith(("is_", "has_")):
                yield f"{where}: a flag; its name must begin with is_ or has_."
            if column.name.endswith("_id") and kind not in ("varchar", "string", "text"):
                yield f"{where}: an id; its type must be varchar."


def macros_are_documented(project: Project) -> Iterator[str]:
    """Macros and each of their arguments are described, in the order of the signature.

    Left out: an engine's own spelling (duckdb__name), which shares the text of `name`, and tests.
    What a list names (list__name) shares the text of the list, and takes arguments of it only.
    """
    lists = {macro.name: [name for name, _, _ in macro.arguments] for macro in project.macros}
    for macro in project.macros:
        family, _, member = macro.name.partition("__")
        if member and family in lists:
            for name in set(macro.signature) - set(lists[family]):
                yield f"macro {macro.name}: takes {name}, which {family} does not."
        if member or macro.name.startswith("test_"):
            continue
        if not macro.description:
            yield f"macro {macro.name}: has no description."
        if lists[macro.name] != macro.signature:
            yield (
                f"macro {macro.name}: takes ({', '.join(macro.signature)}), but its YAML documents "
                f"({', '.join(lists[macro.name])})."
            )
        for name, kind, description in macro.arguments:
            if not kind or not description:
                yield f"macro {macro.name}: its argument {name} needs a type and a description."


def vars_are_documented(project: Project) -> Iterator[str]:
    """docs/vars.md has a row for every var of dbt_project.yml, and for nothing else."""
    rows = re.findall(r"^\| (`[a-z][^|]*) \|", project.vars_page, re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`([a-z][a-z0-9_]*)`", row)}
    for name in sorted(set(project.variables) - documented):
        yield f"var {name}: in dbt_project.yml, but not described in docs/vars.md."
    for name in sorted(documented - set(project.variables)):
        yield f"var {name}: described in docs/vars.md, but not in dbt_project.yml."


def sources_are_described(project: Project) -> Iterator[str]:
    """Every source table has a description."""
    for source, description in project.sources.items():
        if not description:
            yield f"source {short(source)}: has no description."


RULES: tuple[Rule, ...] = (
    says_what_a_row_is,
    wears_one_dress,
    describes_every_column,
    tests_a_key,
    counts_nulls_in_one_scan,
    marts_are_public_under_contract,
    contracts_survive_new_columns,
    says_what_a_build_replaces,
    has_an_owner,
    exposures_rest_on_contracts,
    names_show_the_layer,
    columns_show_what_they_hold,
    layers_read_downwards,
    formats_end_alike,
    data_flows_one_way,
    macros_are_documented,
    vars_are_documented,
    sources_are_described,
)
