"""The mutation check itself: it finds what is untested, and runs on the project's models."""

from pathlib import Path

import duckdb
import pytest

from conftest import Flywheel
from mutation.artifacts import Built, DataTest, Model, UnitTest, read_build
from mutation.judge import DATA, SURVIVED, UNIT
from mutation.mutants import Mutant, apply, incremental_mutants, mutants
from mutation.report import report
from mutation.runner import all_mutants, first_of_each_kind, judge_all
from mutation.survivors import Survivor, read_survivors

ADULTS = "with people as (select * from {people}) select name from people where age >= 18"


def changes(sql: str) -> list[str]:
    """The mutants of a text, as the report shows them."""
    return [mutant.change for mutant in mutants("model", sql)]


def toy(folder: Path, ages: str, *, data_test: str = "select false") -> Built:
    """A warehouse of one model, `adults`, with a unit test over people of these ages."""
    warehouse = folder / "warehouse.duckdb"
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("create table people as select 'a' as name, 40 as age")
        connection.execute(f"create table adults as {ADULTS.format(people='people')}")
    fixture = f"select * from (values {ages}) as given (name, age)"
    model_sql = f"with __dbt__cte__people as ({fixture}), " + ADULTS.format(
        people="__dbt__cte__people"
    ).removeprefix("with ")
    around = (
        f"select name, 'actual' as side from ({model_sql}) as actual "
        "union all select 'grown', 'expected'"
    )
    name = "model.toy.adults"
    model = Model("adults", name, "adults", "table", ADULTS.format(people="people"),
                  frozenset(), True, True)  # fmt: skip
    return Built(
        warehouse,
        {name: model},
        {name: [UnitTest("adults_are_grown", name, model_sql, around, False)]},
        [DataTest("a_data_test", data_test, frozenset({name}))],
    )


def judged(built: Built) -> dict[str, str]:
    """Who notices which mutant of `adults`."""
    (model,) = built.models.values()
    verdicts = judge_all(built, all_mutants(built, model), [], with_pytest=False, processes=1)
    return {verdict.mutant.change: verdict.caught_by for verdict in verdicts}


def test_mutants_are_the_changes_one_would_make_by_mistake() -> None:
    found = changes("select coalesce(max(a), 0) as a from t where b > 2 and not c")
    said = "\n".join(found)
    for change in ("[max -> min]", "[0 -> 1]", "[> -> >=]", "[2 -> 3]", "[2 -> 1]", "[not -> "):
        assert change in said
    assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("sql", "changed"),
    [
        ("select 1 from a inner join b on a.i = b.i", "[inner -> left]"),
        ("select 1 from a left join b on a.i = b.i", "[left -> inner]"),
        ("select row_number() over (partition by a order by b) from t", "[nothing -> desc]"),
        ("select row_number() over (partition by a order by b) from t", "[partition by a -> "),
        ("select a from t union all select b from t", "[all -> nothing]"),
        ("select count(distinct a) from t", "[distinct -> nothing]"),
        ("select case when a then 1 when b then 2 end from t", "[when b then 2 -> nothing]"),
        ("select a + interval '60' second from t", "['60' -> '120']"),
        ("select a from t where b between 1 and 9", "b > 1"),
        ("select a from t where b in (1, 2)", "[nothing -> not]"),
        ("select a / nullif(b, 0) from t", "[nullif(b, 0) -> b"),
    ],
)
def test_each_kind_of_change_is_made(sql: str, changed: str) -> None:
    assert any(changed in change for change in changes(sql)), changes(sql)


def test_no_mutant_changes_what_nobody_wrote_or_counts() -> None:
    """`where true` stands for the scope of an incremental run, and count() counts any constant."""
    assert changes("select a from t where true") == []
    assert not any("[1 ->" in c for c in changes("select count(case when a then 1 end) from t"))


def test_connectors_keep_their_operands() -> None:
    sql = "select 1 from t where (a or b) and c"
    mutant = next(m for m in mutants("m", sql) if m.kind == "connector")
    assert apply(mutant, sql, sql) == "SELECT 1 FROM t WHERE ((a OR b) OR c)"


def test_a_mutant_finds_its_place_in_another_text_of_the_model() -> None:
    """Fixtures have other tables and vars other values; where the shape differs, words decide."""
    original = "with p as (select * from t) select a from p where b > 18 and a < 5"
    (mutant,) = [m for m in mutants("m", original) if "[< -> <=]" in m.label]
    fixture = (
        "with __dbt__cte__t as (select 1 as a, 2 as b), p as (select * from __dbt__cte__t) "
        "select a from p where b > 21 and a < 5"
    )
    assert apply(mutant, fixture, original).endswith("WHERE b > 21 AND a <= 5")
    without_scope = "select a from t where b > 18"
    assert apply(mutant, without_scope, original) is None


def test_conditions_of_incremental_runs_are_mutants_of_their_own() -> None:
    rebuild = "with p as (select * from t where true) select a from p where b > 1"
    scoped = (
        "with p as (select * from t where i in (select i from __dbt__cte__changed)) "
        "select a from p where b > 1"
    )
    found = incremental_mutants("m", rebuild, "a_test", scoped)
    assert {m.scope for m in found} == {"p"}
    assert all("incrementally" in m.change for m in found)
    assert len(found) == 2  # the condition turned round, and gone


def test_a_test_off_the_bound_lets_the_bound_move(tmp_path: Path) -> None:
    """The known-bad case: nobody aged 18 is among the fixtures, so three changes go unseen."""
    found = judged(toy(tmp_path, "('grown', 40), ('small', 4)"))
    survived = [change for change, by in found.items() if by == SURVIVED]
    assert [change.partition("[")[2] for change in survived] == [
        ">= -> >] 18",
        "18 -> 19]",
        "18 -> 17]",
    ]
    assert list(found.values()).count(UNIT) == len(found) - 3 > 0


def test_a_test_on_the_bound_holds_it(tmp_path: Path) -> None:
    found = judged(toy(tmp_path, "('grown', 18), ('small', 17)"))
    assert set(found.values()) == {UNIT}


def test_data_tests_see_the_changed_table_and_leave_the_warehouse_alone(tmp_path: Path) -> None:
    built = toy(tmp_path, "('grown', 40)", data_test="select count(*) = 0 from adults")
    found = judged(built)
    (removed,) = [by for change, by in found.items() if "[where" in change]
    assert removed == SURVIVED  # all people are adults in the fixture and in the warehouse
    with duckdb.connect(str(built.warehouse)) as connection:
        assert connection.execute("select * from adults").fetchall() == [("a",)]
    # Turned round, the unit test would see it; without one the data test has to.
    name = "model.toy.adults"
    blind = Built(built.warehouse, built.models, {name: []}, built.data_tests)
    sql = built.models[name].sql.replace(">=", "=")
    exact = Model("adults", name, "adults", "table", sql.replace("18", "40"),
                  frozenset(), True, True)  # fmt: skip
    found = judged(Built(blind.warehouse, {name: exact}, blind.unit_tests, blind.data_tests))
    assert [by for change, by in found.items() if "[= -> <>]" in change] == [DATA]


def verdict_lines(built: Built, listed: list[Survivor]) -> list[str]:
    (model,) = built.models.values()
    verdicts = judge_all(built, all_mutants(built, model), listed, with_pytest=False, processes=1)
    return report(verdicts, listed, is_complete=True)[1]


def test_survivors_need_a_reason_and_reasons_a_survivor(tmp_path: Path) -> None:
    built = toy(tmp_path, "('grown', 40), ('small', 4)")
    new = "3 survived and are not in survivors.toml:"
    too_few = "Fewer than 90% were noticed."
    assert new in verdict_lines(built, [])
    known = [Survivor("adults", "select: ... age [>= -> >] 18", "why"),
             Survivor("adults", "select: ... >= [18 -> ...", "why")]  # fmt: skip
    assert verdict_lines(built, known) == [too_few]
    vain = Survivor("adults", "select: ... no such change ...", "why")
    assert verdict_lines(built, [*known, vain])[1:] == [
        "These of survivors.toml are noticed, or are no mutants any more:",
        "  adults, select: ... no such change ...",
    ]


def test_the_list_of_survivors_gives_reasons() -> None:
    assert all(survivor.reason.strip() for survivor in read_survivors())


@pytest.fixture(scope="module")
def few(sample: Flywheel) -> tuple[Built, list[Mutant]]:
    """The project as it was built, and the first mutant of each kind of each mart."""
    built = read_build(sample.home)
    marts = sorted((m for m in built.models.values() if m.is_mart), key=lambda m: m.name)
    found = [mutant for model in marts for mutant in all_mutants(built, model)]
    return built, first_of_each_kind(found, 1)


@pytest.mark.slow
def test_most_mutants_of_the_marts_are_noticed(few: tuple[Built, list[Mutant]]) -> None:
    """A sample of what `make mutation` judges in full."""
    built, chosen = few
    verdicts = judge_all(built, chosen, read_survivors(), with_pytest=False)
    text, faults = report(verdicts, read_survivors(), is_complete=False)
    assert len(chosen) > 100
    assert faults == [], "\n".join([text, *faults])
