"""The contract: what the YAML promises, what is built, what is exported, what a consumer pinned."""

import copy
import json
import re
import shutil
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from jsonschema import Draft201909Validator
from open_data_contract_standard.model import OpenDataContractStandard

from conftest import PROJECT, Flywheel
from flywheel.contract import odcs
from flywheel.contract.catalog import canonical_type
from flywheel.contract.check import FixedTable, differences, fixed_tables
from flywheel.contract.compare import compare
from flywheel.contract.manifest import Project, parse_project
from flywheel.errors import FlywheelError
from flywheel.report.queries import QUESTIONS
from flywheel.settings import Settings
from tiny_manifest import data_test, project, tiny

Edit = Callable[[dict[str, Any]], Any]
FIXED = (FixedTable("fct_things", "thing", ("thing_id", "colour")),)


@pytest.fixture(scope="session")
def parsed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    home = tmp_path_factory.mktemp("contract")
    return parse_project(Settings(PROJECT, home, home / "warehouse.duckdb"))


@pytest.fixture(scope="session")
def exported(parsed: Project) -> dict[str, Any]:
    return odcs.contract(parsed)


@pytest.fixture
def warehouse() -> Iterator[duckdb.DuckDBPyConnection]:
    """The tiny project, built as its YAML says."""
    with duckdb.connect() as connection:
        for model in project(tiny()).models.values():
            connection.execute(f"create table {model.name} (thing_id varchar, colour varchar)")
            connection.execute(f"insert into {model.name} values ('a', 'red'), ('b', null)")
            connection.execute(f"comment on table {model.name} is 'One row per thing.'")
            for column in model.columns:
                connection.execute(
                    f"comment on column {model.name}.{column.name} is '{column.description}'"
                )
        yield connection


# What is built


def test_sample_is_built_as_promised(sample: Flywheel) -> None:
    run = sample.command("contract", "--check")
    assert run.status == 0, run.output
    assert "no difference" in run.stdout


def test_drift_ends_in_sentences(sample: Flywheel, flywheel: Flywheel) -> None:
    """The same on a copy whose tables somebody changed by hand."""
    flywheel.home.mkdir()
    shutil.copy(sample.database, flywheel.database)
    with duckdb.connect(str(flywheel.database)) as connection:
        connection.execute("alter table fct_canary_metrics alter look type bigint")
        connection.execute("alter table fct_canary_decisions add column note varchar")
        connection.execute("update fct_sessions set user_id = null where rowid < 2")
        connection.execute("drop table main_intermediate.int_clicks__dwell")
    run = flywheel.command("contract")
    assert run.status == 1
    assert "Traceback" not in run.output
    said = [line.strip() for line in run.output.splitlines() if line.startswith("  ")]
    assert said == [
        "fct_canary_decisions.note: in the warehouse, but not in the YAML.",
        "fct_canary_metrics.look: INTEGER in the YAML, BIGINT in the warehouse.",
        "fct_sessions.user_id: promised never to be null, and 2 rows are.",
        "int_clicks__dwell: not in the warehouse (schema main_intermediate); build it.",
    ]
    assert "disagree in 4 places" in run.output
    with duckdb.connect(str(flywheel.database)) as connection:
        connection.execute("drop table main_staging.base_flat__rows")
    run = flywheel.command("contract")
    assert run.status == 1
    assert "Traceback" not in run.output
    assert "_flat__" in run.output
    assert "reads what is not there any more" in run.output


def test_tiny_warehouse_agrees(warehouse: duckdb.DuckDBPyConnection) -> None:
    assert differences(project(tiny()), warehouse, FIXED) == []


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("drop table int_things", "int_things: not in the warehouse"),
        ("alter table int_things drop colour", "int_things.colour: in the YAML, but not in the"),
        ("alter table fct_things add size int", "fct_things.size: in the warehouse, but not in"),
        (
            "alter table fct_things rename colour to color",
            "fct_things.colour: in the YAML, but not in the warehouse",
        ),
        (
            "update int_things set colour = '1'; "
            "alter table int_things alter colour type decimal(10, 3)",
            "int_things.colour: VARCHAR in the YAML, DECIMAL(10,3) in the warehouse",
        ),
        (
            "alter table fct_things rename to old; "
            "create table fct_things as select colour, thing_id from old",
            "fct_things: column 1 is thing_id in the YAML and colour in the warehouse",
        ),
        (
            "insert into fct_things values (null, 'blue')",
            "fct_things.thing_id: promised never to be null, and 1 row is",
        ),
        ("comment on table fct_labels is 'Old.'", "fct_labels: its comment in the warehouse"),
        ("comment on column fct_labels.colour is null", "fct_labels.colour: its comment in the"),
        (
            "alter table fct_labels rename to old; create view fct_labels as select * from old",
            "fct_labels: configured as a table, built as a view",
        ),
    ],
)
def test_drift_is_named(
    warehouse: duckdb.DuckDBPyConnection, statement: str, sentence: str
) -> None:
    warehouse.execute(statement)
    found = differences(project(tiny()), warehouse, FIXED)
    assert any(difference.startswith(sentence) for difference in found), found


def test_columns_have_comments_in_public_tables_only(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    warehouse.execute("comment on column int_labels.colour is null")
    assert differences(project(tiny()), warehouse, FIXED) == []


def test_order_of_columns_is_promised_by_contracts_only(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    warehouse.execute("alter table int_things rename to old")
    warehouse.execute("create table int_things as select colour, thing_id from old")
    found = differences(project(tiny()), warehouse, FIXED)
    assert [difference for difference in found if "column 1" in difference] == []


def test_columns_of_the_users_features_are_not_drift(
    warehouse: duckdb.DuckDBPyConnection,
) -> None:
    warehouse.execute("alter table int_things add column f_price double")
    manifest = tiny()
    assert len(differences(project(manifest), warehouse, FIXED)) == 1
    manifest["nodes"]["model.tiny.int_things"]["config"]["meta"] = {"further_columns": "f_"}
    assert differences(project(manifest), warehouse, FIXED) == []


@pytest.mark.parametrize(
    ("fixed", "sentence"),
    [
        (FixedTable("fct_gone", "thing", ()), "fct_gone: a fixed public table, and no model"),
        (FixedTable("fct_things", "thing", ("size",)), "fct_things.size: a fixed column"),
        (FixedTable("fct_things", "pair of things", ()), "fct_things: fixed as one row per pair"),
        (FixedTable("int_things", "thing", ()), "int_things: a fixed public table must be public"),
    ],
)
def test_fixed_tables_hold(
    warehouse: duckdb.DuckDBPyConnection, fixed: FixedTable, sentence: str
) -> None:
    (found,) = differences(project(tiny()), warehouse, (fixed,))
    assert found.startswith(sentence)


def test_fixed_tables_are_public(parsed: Project) -> None:
    assert len(fixed_tables()) == 18
    assert {table.name for table in fixed_tables()} <= {model.name for model in parsed.public}


@pytest.mark.parametrize(
    ("written", "spelt"),
    [
        ("string", "VARCHAR"),
        ("text", "VARCHAR"),
        ("int", "INTEGER"),
        ("varchar[]", "VARCHAR[]"),
        ("decimal(18, 2)", "DECIMAL(18,2)"),
        ("struct(a integer)", "STRUCT(a INTEGER)"),
    ],
)
def test_types_are_spelt_as_duckdb_does(written: str, spelt: str) -> None:
    assert canonical_type(written) == spelt


@pytest.mark.parametrize("written", ["decimal(18", "money", "varchar)); drop table x; --", ""])
def test_what_is_no_type_is_refused(written: str) -> None:
    with pytest.raises(FlywheelError, match="no type of DuckDB"):
        canonical_type(written)


# What is exported


def test_export_keeps_the_standard(exported: dict[str, Any]) -> None:
    schema = resources.files("open_data_contract_standard").joinpath("schema.json")
    written = yaml.safe_load(odcs.as_yaml(exported))
    assert written == exported
    standard = Draft201909Validator(json.loads(schema.read_text("utf-8")))
    assert [error.message for error in standard.iter_errors(written)] == []
    parsed = OpenDataContractStandard.model_validate(written)
    assert parsed.apiVersion == "v3.1.0"
    assert len(parsed.schema_) == len(exported["schema"])
    # The schema refuses what the standard does not know, so an empty list above says something.
    written["schema"][0]["properties"][0]["logicalType"] = "varchar"
    assert list(standard.iter_errors(written)) != []


def test_export_lists_what_is_built(exported: dict[str, Any], sample: Flywheel) -> None:
    built: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in sample.rows(
        "select table_name, column_name, data_type from information_schema.columns "
        "where table_schema = 'main' order by table_name, ordinal_position"
    ):
        built.setdefault(table, []).append((column, kind))
    assert {table["physicalName"] for table in exported["schema"]} == set(built)
    for table in exported["schema"]:
        listed = [(p["name"], p["physicalType"]) for p in table["properties"]]
        assert listed == built[table["physicalName"]]


def test_exported_promises_hold_on_the_sample(exported: dict[str, Any], sample: Flywheel) -> None:
    """A consumer's reading of the file, rule by rule, without the project's code."""
    checks = list(_checks(exported))
    assert len(checks) > 250
    with sample.connection() as connection:
        broken = [
            (name, sql)
            for name, sql, wanted in checks
            if connection.execute(sql).fetchone() != (wanted,)
        ]
    assert broken == []


def test_exported_promises_can_be_broken(exported: dict[str, Any], sample: Flywheel) -> None:
    tables = {table["name"]: table for table in exported["schema"]}
    harm = {
        "fct_sessions": "update fct_sessions set n_searches = 0 where rowid = 0",
        "fct_position_propensities": "update fct_position_propensities set propensity = -1",
        "fct_training_groups": "insert into fct_training_groups from fct_training_groups limit 1",
        "fct_searches": "update fct_searches set source_format = 'other' where rowid = 0",
        "fct_impressions": "update fct_impressions set search_id = 'none' where rowid = 0",
        "fct_training_manifest": "delete from fct_training_manifest",
    }
    with duckdb.connect() as connection:
        connection.execute(f"attach '{sample.database}' as sample (read_only)")
        for name in tables:
            connection.execute(f"create table {name} as from sample.main.{name}")
        for name, statement in harm.items():
            connection.execute(statement)
            found = [
                check
                for check, sql, wanted in _checks({"schema": [tables[name]]})
                if connection.execute(sql).fetchone() != (wanted,)
            ]
            assert found, name


def test_export_says_key_owner_and_references(exported: dict[str, Any]) -> None:
    tables = {table["name"]: table for table in exported["schema"]}
    impressions = {p["name"]: p for p in tables["fct_impressions"]["properties"]}
    assert [n for n, p in impressions.items() if p.get("primaryKey")] == ["search_id", "doc_id"]
    assert impressions["doc_id"]["primaryKeyPosition"] == 2
    assert {r["to"] for r in impressions["search_id"]["relationships"]} == {
        "fct_searches.search_id"
    }
    assert impressions["rank"]["logicalTypeOptions"] == {"minimum": 1}
    assert {"property": "group", "value": "behavior"} in tables["fct_impressions"][
        "customProperties"
    ]
    searches = {p["name"]: p for p in tables["fct_searches"]["properties"]}
    assert searches["search_id"]["unique"] and searches["search_id"]["required"]
    assert not searches["device"]["required"]
    assert searches["bot_reasons"]["items"] == {"logicalType": "string", "physicalType": "VARCHAR"}


def test_tests_that_only_warn_are_no_promises() -> None:
    manifest = tiny()
    manifest["nodes"]["test.tiny.required_columns_fct_things_None"]["config"]["severity"] = "WARN"
    limit = data_test("accepted_range", "fct_things", "colour", min_value=1)
    limit["config"] = {"severity": "WARN", "where": "colour <> 'red'"}
    own = data_test("house_test", "fct_things", None, size=3)
    manifest["nodes"] |= {limit["unique_id"]: limit, own["unique_id"]: own}
    table = next(t for t in odcs.contract(project(manifest))["schema"] if t["name"] == "fct_things")
    thing, colour = table["properties"]
    assert thing["required"] is False
    assert colour["quality"][0]["severity"] == "warning"
    assert colour["quality"][0]["query"].endswith("""("colour" < 1) and (colour <> 'red')""")
    assert table["quality"][0]["implementation"] == {"test": "house_test", "arguments": {"size": 3}}


def test_a_key_with_nulls_is_a_rule_and_no_primary_key() -> None:
    manifest = tiny()
    _finer_key(manifest)
    (table,) = (t for t in odcs.contract(project(manifest))["schema"] if t["name"] == "fct_things")
    assert [p["name"] for p in table["properties"] if "primaryKey" in p] == []
    assert table["quality"][0]["arguments"] == {"properties": ["thing_id", "colour"]}
    never_null = data_test("not_null", "fct_things", "colour")
    manifest["nodes"][never_null["unique_id"]] = never_null
    (table,) = (t for t in odcs.contract(project(manifest))["schema"] if t["name"] == "fct_things")
    assert [p["primaryKeyPosition"] for p in table["properties"]] == [1, 2]


def test_a_type_without_counterpart_is_refused() -> None:
    manifest = tiny()
    column = manifest["nodes"]["model.tiny.fct_things"]["columns"]["colour"]
    column["data_type"] = "interval"
    with pytest.raises(FlywheelError, match=r"fct_things\.colour has the type INTERVAL"):
        odcs.contract(project(manifest))


# What a consumer pinned


def _pin() -> dict[str, Any]:
    return odcs.contract(project(tiny()))


def _model(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda manifest: manifest["nodes"][f"model.tiny.{name}"]


def _rename_column(manifest: dict[str, Any]) -> None:
    columns = _model("fct_things")(manifest)["columns"]
    columns["color"] = {**columns.pop("colour"), "name": "color"}


def _finer_key(manifest: dict[str, Any]) -> None:
    pair = data_test("unique_combination", "fct_things", None, columns=["thing_id", "colour"])
    manifest["nodes"][pair["unique_id"]] = pair


def _accept(*values: str) -> Edit:
    def edit(manifest: dict[str, Any]) -> None:
        test = data_test("accepted_values", "fct_things", "colour", values=list(values))
        manifest["nodes"][test["unique_id"]] = test

    return edit


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (lambda m: m["nodes"].pop("model.tiny.fct_labels"), "fct_labels: the table was removed"),
        (
            lambda m: _model("fct_things")(m)["columns"].pop("colour"),
            "fct_things.colour: the column was removed or renamed.",
        ),
        (
            _rename_column,
            "fct_things.colour: the column was removed or renamed (new columns of its type: color)",
        ),
        (
            lambda m: _model("fct_things")(m)["columns"]["colour"].update(data_type="integer"),
            "fct_things.colour: its type was VARCHAR and is INTEGER.",
        ),
        (
            lambda m: m["nodes"].pop("test.tiny.required_columns_fct_things_None"),
            "fct_things.thing_id: it was never null and now may be.",
        ),
        (
            lambda m: m["nodes"].pop("test.tiny.unique_fct_things_thing_id"),
            "fct_things.thing_id: it was unique and now may repeat.",
        ),
        (_finer_key, "fct_things: a row was named by (thing_id) and now is by (thing_id, colour)."),
        (
            lambda m: _model("fct_things")(m).update(access="protected"),
            "fct_things: the table was removed",
        ),
    ],
)
def test_breaking_changes_are_named(edit: Edit, sentence: str) -> None:
    manifest = tiny()
    edit(manifest)
    comparison = compare(_pin(), odcs.contract(project(manifest)))
    assert any(found.startswith(sentence) for found in comparison.breaking), comparison


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (
            lambda m: _model("fct_things")(m)["columns"].update(
                size={"name": "size", "data_type": "bigint", "description": "How large."}
            ),
            "fct_things.size: a new column, BIGINT.",
        ),
        (
            lambda m: _model("fct_things")(m).update(deprecation_date="2027-01-31T00:00:00"),
            "fct_things: will be removed after 2027-01-31",
        ),
        (lambda m: _model("fct_things")(m).update(description="One row per thing, better."), ""),
    ],
)
def test_additions_break_nothing(edit: Edit, sentence: str) -> None:
    manifest = tiny()
    edit(manifest)
    comparison = compare(_pin(), odcs.contract(project(manifest)))
    assert comparison.breaking == ()
    assert [a[: len(sentence)] for a in comparison.additions] == ([sentence] if sentence else [])


def test_new_values_of_a_closed_list_are_told() -> None:
    before, after = tiny(), tiny()
    _accept("red")(before)
    _accept("red", "blue")(after)
    comparison = compare(odcs.contract(project(before)), odcs.contract(project(after)))
    assert comparison.breaking == ()
    assert comparison.additions == ("fct_things.colour: new values, blue.",)


def test_a_pin_may_be_cut_down_to_what_is_read() -> None:
    pin = copy.deepcopy(_pin())
    pin["schema"] = [table for table in pin["schema"] if table["name"] == "fct_things"]
    pin["schema"][0]["properties"] = pin["schema"][0]["properties"][1:]
    manifest = tiny()
    manifest["nodes"].pop("model.tiny.fct_labels")
    assert compare(pin, odcs.contract(project(manifest))).breaking == ()


def test_a_pin_of_another_product_is_refused() -> None:
    with pytest.raises(FlywheelError, match="that of another product"):
        compare({"id": "other", "schema": []}, _pin())


def test_export_then_compare_by_command(sample: Flywheel, tmp_path: Path) -> None:
    pin = tmp_path / "a folder" / "pinned contract.yaml"
    run = sample.command("contract", "--export", str(pin), "--against", str(pin))
    assert run.status == 0, run.output
    assert "0 additions, no difference" in run.stdout
    text = pin.read_text("utf-8")
    assert str(sample.home) not in text
    pin.write_text(text.replace("- name: n_clicks\n", "- name: n_clicked\n"), "utf-8")
    run = sample.command("contract", "--against", str(pin))
    assert run.status == 1
    assert "fct_searches.n_clicked: the column was removed or renamed" in run.output
    assert "new: fct_searches.n_clicks: a new column" in run.output
    assert "Traceback" not in run.output


@pytest.mark.parametrize("text", ["", "[]", "kind: DataContract", "a: [b", "kind: x\n", "\x00"])
def test_what_is_no_contract_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "pin.yaml"
    file.write_text(text, "utf-8")
    with pytest.raises(FlywheelError, match="no data contract"):
        odcs.read_contract(file)
    with pytest.raises(FlywheelError, match="There is no contract at"):
        odcs.read_contract(tmp_path / "none.yaml")


# Who reads the tables


def test_exposures_name_what_is_read(parsed: Project) -> None:
    named = {
        exposure.name: {node.rpartition(".")[2] for node in exposure.reads}
        for exposure in parsed.exposures
    }
    public = {model.name for model in parsed.public}

    def mentioned(folder: str, suffix: str) -> set[str]:
        files = (PROJECT / folder).rglob(f"*{suffix}")
        words = {
            w for f in files for w in re.findall(r"\b(?:fct|dim)_[a-z_]+", f.read_text("utf-8"))
        }
        return words & public

    suites = {f.stem for f in (PROJECT / "python/flywheel/validation/suites").rglob("*.yml")}
    asked = [mentioned("analyses", f"{name}.sql") for name in QUESTIONS.values()]
    assert named["report"] == set().union(*asked)
    assert named["analyses"] == mentioned("analyses", ".sql")
    assert named["data_validation"] == suites & public


def _checks(contract: dict[str, Any]) -> Iterator[tuple[str, str, int]]:
    """(what, SQL of one number, that number) for each promise of the contract."""
    for table in contract["schema"]:
        name = table["physicalName"]
        rows = f"select count(*) from {name}"
        for rule in table.get("quality", ()):
            if rule["type"] == "sql":
                yield name, rule["query"], rule["mustBe"]
            elif rule.get("metric") == "duplicateValues":
                columns = ", ".join(rule["arguments"]["properties"])
                distinct = f"(select distinct {columns} from {name})"
                yield name, f"select ({rows}) - (select count(*) from {distinct})", 0
            elif rule.get("metric") == "rowCount":
                yield name, rows, rule["mustBe"]
        for relationship in table.get("relationships", ()):
            yield name, _orphans(relationship["from"], relationship["to"]), 0
        for column in table["properties"]:
            where = f"{name}.{column['name']}"
            if column["required"]:
                yield where, f"{rows} where {column['name']} is null", 0
            if column.get("unique"):
                distinct = f"count(distinct {column['name']})"
                yield where, f"select count(*) - {distinct} from {name}", 0
            for sign, bound in (("<", "minimum"), (">", "maximum")):
                if bound in column.get("logicalTypeOptions", {}):
                    limit = column["logicalTypeOptions"][bound]
                    yield where, f"{rows} where {column['name']} {sign} {limit}", 0
            for relationship in column.get("relationships", ()):
                yield where, _orphans([where], [relationship["to"]]), 0
            for rule in column.get("quality", ()):
                if rule["type"] == "sql":
                    yield where, rule["query"], rule["mustBe"]
                elif rule.get("metric") == "invalidValues":
                    values = ", ".join(f"'{v}'" for v in rule["arguments"]["validValues"])
                    outside = f"cast({column['name']} as varchar) not in ({values})"
                    yield where, f"{rows} where {outside}", 0


def _orphans(child: list[str], parent: list[str]) -> str:
    """SQL that counts the rows of the child whose columns refer to no row of the parent."""
    child_table, parent_table = (names[0].partition(".")[0] for names in (child, parent))
    pairs = [
        (f"child.{a.partition('.')[2]}", f"parent.{b.partition('.')[2]}")
        for a, b in zip(child, parent, strict=True)
    ]
    known = " and ".join(f"{a} is not null" for a, _ in pairs)
    same = " and ".join(f"{a} = {b}" for a, b in pairs)
    return (
        f"select count(*) from {child_table} as child where {known} "
        f"and not exists (select 1 from {parent_table} as parent where {same})"
    )
