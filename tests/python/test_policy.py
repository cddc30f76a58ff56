"""The house rules: each one is broken on a small manifest, and its sentence names the culprit."""

import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import PROJECT
from flywheel.contract import policy
from import_graph import Graph, cycle, imports
from tiny_manifest import TINY_SQL, VARS_PAGE, data_test, model, project, tiny

Edit = Callable[[dict[str, Any]], None]


def node(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda manifest: manifest["nodes"][f"model.tiny.{name}"]


def put(name: str, **values: Any) -> Edit:
    """Set properties of a model."""
    return lambda manifest: node(name)(manifest).update(values)


def column(name: str, column_name: str, **values: Any) -> Edit:
    """Set properties of a column, adding it where it is new."""

    def edit(manifest: dict[str, Any]) -> None:
        columns = node(name)(manifest)["columns"]
        known = columns.setdefault(
            column_name, {"name": column_name, "data_type": "varchar", "description": "Some."}
        )
        known.update(values)

    return edit


def config(name: str, **values: Any) -> Edit:
    return lambda manifest: node(name)(manifest)["config"].update(values)


def read(name: str, *nodes: str) -> Edit:
    return lambda manifest: node(name)(manifest)["depends_on"]["nodes"].extend(nodes)


def drop_test(kind: str, name: str, column_name: str | None = "thing_id") -> Edit:
    return lambda manifest: manifest["nodes"].pop(f"test.tiny.{kind}_{name}_{column_name}")


def soften(kind: str, name: str, column_name: str | None = "thing_id", **values: Any) -> Edit:
    def edit(manifest: dict[str, Any]) -> None:
        test = manifest["nodes"][f"test.tiny.{kind}_{name}_{column_name}"]
        test["config"].update(values)

    return edit


def add_test(kind: str, name: str, column_name: str | None, **arguments: Any) -> Edit:
    def edit(manifest: dict[str, Any]) -> None:
        test = data_test(kind, name, column_name, **arguments)
        manifest["nodes"][test["unique_id"]] = test

    return edit


def rename(name: str, to: str) -> Edit:
    return lambda manifest: node(name)(manifest).update(name=to)


def exposure(**values: Any) -> Edit:
    return lambda manifest: manifest["exposures"]["exposure.tiny.report"].update(values)


def exposure_reads(*nodes: str) -> Edit:
    return exposure(depends_on={"nodes": list(nodes)})


def macro(**values: Any) -> Edit:
    return lambda manifest: manifest["macros"]["macro.tiny.ratio"].update(values)


def listed(argument: str) -> Edit:
    """Add a macro that the macro ratio lists."""

    def edit(manifest: dict[str, Any]) -> None:
        manifest["macros"]["macro.tiny.ratio__listed"] = manifest["macros"]["macro.tiny.ratio"] | {
            "name": "ratio__listed",
            "description": "",
            "arguments": [],
            "macro_sql": f"{{% macro ratio__listed({argument}) %}} x {{% endmacro %}}",
        }

    return edit


def view(name: str) -> Edit:
    def edit(manifest: dict[str, Any]) -> None:
        node(name)(manifest)["config"]["materialized"] = "view"
        node(name)(manifest)["contract"]["enforced"] = False

    return edit


def add_format(entity: str, **types: str) -> Edit:
    """Add a second format, with one model that has columns of these types beside its own."""

    def edit(manifest: dict[str, Any]) -> None:
        added = model(f"stg_flat__{entity}", "staging/flat")
        for name, data_type in types.items():
            added["columns"][name] = {"name": name, "data_type": data_type, "description": "Some."}
        manifest["nodes"][added["unique_id"]] = added

    return edit


UNDOCUMENTED = [{"name": "over", "type": "any", "description": "SQL."}]
NO_TEXT = [*UNDOCUMENTED, {"name": "under", "type": "any", "description": ""}]
BREACHES: list[tuple[policy.Rule, Edit, str]] = [
    (policy.says_what_a_row_is, put("int_things", description="Things."), "int_things: its desc"),
    (policy.says_what_a_row_is, put("int_things", description=""), "int_things: its description"),
    (
        policy.wears_one_dress,
        put("int_things", raw_code=TINY_SQL.replace("* from final", "one from final")),
        "int_things: its last line",
    ),
    (
        policy.wears_one_dress,
        put("int_things", raw_code=TINY_SQL.replace("with\n\nfinal", "with final")),
        "int_things: `with` stands alone",
    ),
    (
        policy.wears_one_dress,
        put("int_things", raw_code=TINY_SQL.replace("    select 1", "    -- one\n    select 1")),
        "int_things: comments stand in {# #}",
    ),
    (
        policy.wears_one_dress,
        put("int_things", raw_code=TINY_SQL.replace("1 as", "cast(1 as varchar) as")),
        "int_things: text is cast as string",
    ),
    (
        policy.wears_one_dress,
        column("stg_ubi__things", "colour", data_type="varchar"),
        "stg_ubi__things.colour: the data_type of text",
    ),
    (policy.describes_every_column, put("int_things", columns={}), "int_things: the YAML lists no"),
    (
        policy.describes_every_column,
        column("int_things", "colour", description=" "),
        "int_things.colour: has no description",
    ),
    (
        policy.describes_every_column,
        column("stg_ubi__things", "colour", data_type=None),
        "stg_ubi__things.colour: has no data_type",
    ),
    (
        policy.says_what_a_build_replaces,
        config("int_things", materialized="incremental", incremental_strategy="replace_scope"),
        "int_things: incremental, and its meta",
    ),
    (
        policy.says_what_a_build_replaces,
        config("int_things", incremental_predicates=["true"]),
        "int_things: incremental_predicates",
    ),
    (policy.tests_a_key, drop_test("unique", "int_things"), "int_things: no test proves a key"),
    (
        policy.tests_a_key,
        soften("unique", "int_things", severity="warn"),
        "int_things: no test proves a key",
    ),
    (
        policy.tests_a_key,
        soften("unique", "int_things", where="colour = 'red'"),
        "int_things: no test proves a key",
    ),
    (
        policy.tests_a_key,
        drop_test("required_columns", "stg_ubi__things", None),
        "stg_ubi__things.thing_id: the key, and no test",
    ),
    (
        policy.tests_a_key,
        soften("required_columns", "int_things", None, severity="warn"),
        "int_things.thing_id: the key, and no test",
    ),
    (
        policy.tests_a_key,
        soften("required_columns", "int_things", None, where="colour = 'red'"),
        "int_things.thing_id: the key, and no test",
    ),
    (
        policy.tests_a_key,
        lambda m: node("int_things")(m)["columns"].pop("thing_id"),
        "int_things.thing_id: part of the key, and not among the columns",
    ),
    (
        policy.counts_nulls_in_one_scan,
        add_test("not_null", "int_things", "colour"),
        "int_things.colour: has a not_null of its own; name it in the model's required_columns",
    ),
    (
        policy.counts_nulls_in_one_scan,
        add_test("required_columns", "fct_things", None, columns=["thing_id", "color"]),
        "fct_things.color: in required_columns, and not among the columns",
    ),
    (
        policy.marts_are_public_under_contract,
        put("fct_things", access="protected"),
        "fct_things: a mart must have access: public",
    ),
    (
        policy.marts_are_public_under_contract,
        put("fct_things", contract={"enforced": False}),
        "fct_things: a public table needs an enforced contract",
    ),
    (
        policy.marts_are_public_under_contract,
        view("fct_things"),
        "fct_things: a public view needs an enforced contract",
    ),
    (
        policy.marts_are_public_under_contract,
        put("int_things", access="public"),
        "int_things: public, and not a mart",
    ),
    (
        policy.contracts_survive_new_columns,
        config("fct_things", materialized="incremental"),
        "fct_things: incremental under contract",
    ),
    (policy.has_an_owner, put("int_things", group="nobody"), "int_things: its group nobody"),
    (
        policy.has_an_owner,
        lambda m: (put("int_things", group=None)(m), config("int_things", group=None)(m)),
        "int_things: belongs to no group",
    ),
    (
        policy.has_an_owner,
        lambda m: m["groups"]["group.tiny.behavior"].update(owner={"name": "Behaviour"}),
        "group behavior: its owner needs",
    ),
    (policy.exposures_rest_on_contracts, exposure(description=""), "report: has no description"),
    (policy.exposures_rest_on_contracts, exposure(maturity=None), "report: needs a maturity"),
    (policy.exposures_rest_on_contracts, exposure(owner={"name": "B"}), "report: its owner"),
    (policy.exposures_rest_on_contracts, exposure_reads(), "report: names nothing"),
    (
        policy.exposures_rest_on_contracts,
        exposure_reads("model.tiny.int_things"),
        "report: depends on int_things, which is not public",
    ),
    (
        policy.exposures_rest_on_contracts,
        config("fct_things", materialized="view"),
        "report: depends on fct_things, a view",
    ),
    (
        policy.names_show_the_layer,
        rename("stg_ubi__things", "ubi_things"),
        "ubi_things: is no name",
    ),
    (
        policy.names_show_the_layer,
        rename("stg_ubi__things", "stg_things"),
        "stg_things: is no name",
    ),
    (policy.names_show_the_layer, rename("int_things", "fct_other"), "fct_other: is no name"),
    (policy.names_show_the_layer, rename("fct_things", "things"), "things: is no name"),
    (
        policy.names_show_the_layer,
        put("int_things", path="scratch/int_things.sql"),
        "int_things: stands in models/scratch, which is no layer",
    ),
    (
        policy.names_show_the_layer,
        put("fct_things", path="marts/fct_things.sql"),
        "fct_things: stands in no folder of models/marts",
    ),
    (
        policy.columns_show_what_they_hold,
        column("fct_things", "searched", data_type="timestamp"),
        "fct_things.searched: a time",
    ),
    (
        policy.columns_show_what_they_hold,
        column("fct_things", "red", data_type="boolean"),
        "fct_things.red: a flag",
    ),
    (
        policy.columns_show_what_they_hold,
        column("fct_things", "thing_id", data_type="bigint"),
        "fct_things.thing_id: an id",
    ),
    (
        policy.layers_read_downwards,
        read("fct_things", "model.tiny.stg_ubi__things"),
        "fct_things: a mart may not read stg_ubi__things",
    ),
    (
        policy.layers_read_downwards,
        read("fct_things", "source.tiny.raw.lines"),
        "fct_things: a mart may not read raw.lines",
    ),
    (
        policy.layers_read_downwards,
        read("stg_ubi__things", "model.tiny.int_things"),
        "stg_ubi__things: staging may not read int_things",
    ),
    (
        policy.layers_read_downwards,
        rename("stg_ubi__things", "base_ubi__things"),
        "int_things: may not read base_ubi__things",
    ),
    (
        policy.formats_end_alike,
        add_format("things", size="bigint"),
        "stg_ubi__things: differs from stg_flat__things in size",
    ),
    (
        policy.formats_end_alike,
        add_format("rows"),
        "stg_flat__things: is missing; stg_ubi__things is there",
    ),
    (
        policy.data_flows_one_way,
        read("fct_things", "model.tiny.fct_labels"),
        "fct_things: reads fct_labels, and training comes after behavior",
    ),
    (
        policy.data_flows_one_way,
        read("int_things", "model.tiny.fct_labels"),
        "int_things: reads fct_labels, and training comes after behavior",
    ),
    (
        policy.data_flows_one_way,
        put("fct_things", path="marts/finance/fct_things.sql"),
        "models/marts/finance has no place",
    ),
    (policy.macros_are_documented, macro(description=""), "macro ratio: has no description"),
    (policy.macros_are_documented, macro(arguments=UNDOCUMENTED), "takes (over, under), but"),
    (policy.macros_are_documented, macro(arguments=NO_TEXT), "its argument under needs"),
    (policy.macros_are_documented, listed("x"), "macro ratio__listed: takes x, which ratio does"),
    (
        policy.sources_are_described,
        lambda m: m["sources"]["source.tiny.raw.lines"].update(description=""),
        "source raw.lines: has no description",
    ),
]


def test_tiny_project_keeps_every_rule() -> None:
    assert policy.breaches(project(tiny())) == []


@pytest.mark.parametrize(
    ("rule", "edit", "sentence"),
    BREACHES,
    ids=[f"{rule.__name__}-{sentence[:24]}" for rule, _, sentence in BREACHES],
)
def test_rule_names_what_breaks_it(rule: policy.Rule, edit: Edit, sentence: str) -> None:
    broken = copy.deepcopy(tiny())
    edit(broken)
    assert any(sentence in found for found in rule(project(broken)))
    assert any(sentence in found for found in policy.breaches(project(broken)))


def test_vars_and_their_page_name_the_same() -> None:
    found = policy.breaches(project(tiny(), min_things=3, max_things=9))
    assert found == ["var max_things: in dbt_project.yml, but not described in docs/vars.md."]
    page = VARS_PAGE + "| `old_name`, `older_name` | 1, 2 | gone |\n"
    found = policy.breaches(project(tiny(), vars_page=page))
    assert [sentence.partition(":")[0] for sentence in found] == ["var old_name", "var older_name"]


def test_every_rule_is_broken_once() -> None:
    broken = {rule for rule, _, _ in BREACHES} | {policy.vars_are_documented}
    assert broken == set(policy.RULES)


def test_nulls_are_proved_absent_by_either_test() -> None:
    """A not_null may say what required_columns cannot; only one without conditions is a promise."""
    manifest = tiny()
    add_test("not_null", "int_things", "colour")(manifest)
    assert project(manifest).models["int_things"].required == {"thing_id", "colour"}
    soften("not_null", "int_things", "colour", where="thing_id <> 'a'")(manifest)
    parsed = project(manifest)
    assert parsed.models["int_things"].required == {"thing_id"}
    assert policy.breaches(parsed) == []


def test_one_row_and_combinations_are_keys() -> None:
    manifest = tiny()
    for name in ("int_things", "int_labels"):
        manifest["nodes"].pop(f"test.tiny.unique_{name}_thing_id")
    one = data_test("one_row", "int_things", None)
    pair = data_test("unique_combination", "int_labels", None, columns=["thing_id", "colour"])
    manifest["nodes"] |= {one["unique_id"]: one, pair["unique_id"]: pair}
    parsed = project(manifest)
    assert policy.breaches(parsed) == []
    assert parsed.models["int_labels"].key == ("thing_id", "colour")
    # A public table's key is never null, whichever columns it has.
    manifest["nodes"].pop("test.tiny.unique_fct_things_thing_id")
    pair = data_test("unique_combination", "fct_things", None, columns=["thing_id", "colour"])
    manifest["nodes"][pair["unique_id"]] = pair
    (found,) = policy.tests_a_key(project(manifest))
    assert found.startswith("fct_things.colour: part of the key, and no test proves it is not null")
    column("fct_things", "colour", description="Its colour; null where unknown.")(manifest)
    assert list(policy.tests_a_key(project(manifest))) == []


def test_yaml_that_says_something_twice_is_found(tmp_path: Path) -> None:
    file = tmp_path / "twice.yml"
    file.write_text("models:\n  - name: a\n    description: one\n    description: two\n", "utf-8")
    lint = [sys.executable, "-m", "yamllint", "--strict", "-c", str(PROJECT / ".yamllint")]
    run = subprocess.run([*lint, str(file)], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "duplication of key" in run.stdout


# --- the package -------------------------------------------------------------------------------

PACKAGE = PROJECT / "python" / "flywheel"
MOST_LINES = 300
LONGER = {
    "cli": 500,
    "contract.manifest": 350,
    "dbt": 450,
    "demo": 400,
    "loop": 500,
    "ranker.scoring": 450,
    "ranker.training": 850,
    "report.charts": 700,
    "report.sections": 450,
    "serving": 400,
    "simulator.traffic": 550,
    "simulator.writers": 450,
    "validation.run": 400,
}
"""Modules that are longer still, and how long they may be: numbers here only fall."""


def line_breaches(root: Path, most: int, longer: dict[str, int]) -> list[str]:
    found = []
    for path in sorted(root.rglob("*.py")):
        name = ".".join(path.relative_to(root).with_suffix("").parts)
        n_lines = len(path.read_text("utf-8").splitlines())
        if n_lines > longer.get(name, most):
            found.append(f"{name}: {n_lines} lines; give it one job, of at most {most}")
        if name in longer and n_lines <= most:
            found.append(f"{name}: {n_lines} lines, so it needs no exception")
    return found


def outside(graph: Graph) -> list[str]:
    """What modules of the package import of the project's other Python."""
    tests = {path.stem for path in (PROJECT / "tests" / "python").iterdir()}
    forbidden = {"bench", "tools", "tests", *tests}
    return sorted(
        f"{name}: imports {module}"
        for name, modules in graph.items()
        for module in modules
        if module.partition(".")[0] in forbidden
    )


def test_the_package_stands_alone_without_rings_in_modules_of_one_job() -> None:
    graph = imports(PACKAGE)
    assert len(graph) > 80
    assert outside(graph) == []
    assert cycle(graph) is None
    assert cycle(imports(PROJECT / "python" / "bench")) is None
    assert line_breaches(PACKAGE, MOST_LINES, LONGER) == []


def test_modules_that_break_the_rules_are_found(tmp_path: Path) -> None:
    package = tmp_path / "small"
    (package / "room").mkdir(parents=True)
    for name, text in {
        "__init__": "from small.room import near\n",
        "lean": "def f():\n    from bench import page\n    import conftest\n",
        "room/__init__": "",
        "room/near": "from small.room import far\n",
        "room/far": "def f():\n    import small.room.near\n",
    }.items():
        (package / f"{name}.py").write_text(text, "utf-8")
    graph = imports(package)
    assert outside(graph) == ["small.lean: imports bench", "small.lean: imports conftest"]
    assert set(cycle(graph) or ()) == {"small.room.near", "small.room.far"}
    assert line_breaches(package, 2, {"room.far": 5}) == [
        "lean: 3 lines; give it one job, of at most 2",
        "room.far: 2 lines, so it needs no exception",
    ]
