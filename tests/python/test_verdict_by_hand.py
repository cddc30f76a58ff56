"""Each step of the verdict on a challenger, on rows small enough to follow by hand."""

import io
import math
from statistics import NormalDist
from typing import Any

import duckdb
import pytest
from pyarrow import csv

from sql_project import SqlProject

LN2 = math.log(2)


def built(model: str, variables: dict[str, Any] | None = None, **inputs: str) -> dict[Any, Any]:
    """Rows of a model by their first columns of text: its inputs are tables, `-` is null."""
    connection = duckdb.connect()
    for name, text in inputs.items():
        lines = "\n".join(",".join(line.split()) for line in text.strip().splitlines())
        options = csv.ConvertOptions(null_values=["-"], strings_can_be_null=True)
        rows = csv.read_csv(io.BytesIO(lines.encode()), convert_options=options)
        connection.register("given", rows)
        connection.execute(f"create table {name} as select * from given")
    SqlProject(**(variables or {})).build(connection, model)
    found = connection.sql(f"select * from {model}").to_arrow_table().to_pylist()
    keys = ("evaluation_id", "curve", "context", "side", "search_id", "query", "doc_id", "rank")
    named = {" ".join(str(row[key]) for key in keys if key in row): row for row in found}
    assert len(named) == len(found)
    return named


def test_searches_of_the_window_are_judged_and_some_compared() -> None:
    """The window holds its start and not its end, and no bot; what a draw or a canary's model put
    on the page is not the logged order, on whichever side that stands."""
    moment = "2026-03-02T00:00:00"
    found = built(
        "int_evaluation_impressions__judged",
        evaluations="""
            evaluation_id model_version champion_version window_start        window_end
            models        v2            v1               2026-03-01T00:00:00 2026-03-08T00:00:00
            champion      v2            logged           2026-03-01T00:00:00 2026-03-08T00:00:00
            challenger    logged        v1               2026-03-01T00:00:00 2026-03-08T00:00:00""",
        fct_searches=f"""
            search_id user_id searched_at         is_bot is_randomised variant
            early     u1      2026-02-28T23:59:59 false  false         champion
            first     u1      2026-03-01T00:00:00 false  false         -
            champion  u1      {moment}            false  false         champion
            drawn     u1      {moment}            false  true          champion
            canary    u2      {moment}            false  false         canary
            bot       u3      {moment}            true   false         -
            late      u1      2026-03-08T00:00:00 false  false         champion""",
        fct_impressions="""
            search_id query doc_id propensity_context rank clicked
            early     q     a      x                  1    1
            first     q     a      x                  1    1
            champion  q     a      x                  1    1
            drawn     q     a      x                  1    1
            canary    q     a      x                  1    1
            bot       q     a      x                  1    1
            late      q     a      x                  1    1
            unknown   q     a      x                  1    1""",
    )
    logged = {"first": True, "champion": True, "drawn": False, "canary": False}
    assert {key: row["is_compared"] for key, row in found.items()} == {
        f"{evaluation} x {search} q a 1": is_compared
        for evaluation, compared in (
            ("models", dict.fromkeys(logged, True)),
            ("champion", logged),
            ("challenger", logged),
        )
        for search, is_compared in compared.items()
    }


def test_propensities_err_by_their_own_error_or_that_of_the_decay() -> None:
    """At rank 2 an error of 1 in alpha is ln 2, a factor of two; rank 3 has one of its own."""
    found = built(
        "int_evaluation_propensities",
        fct_position_propensities=f"""
            context rank propensity std_error_log is_active
            x       1    1.0        -             true
            x       2    0.5        -             true
            x       3    0.25       {LN2}         true
            x       2    0.9        -             false
            y       2    0.5        -             true""",
        fct_propensity_diagnostics="""
            context alpha_std_error is_active
            x       1.0             true
            x       5.0             false
            y       -               true""",
    )
    assert {key: row["propensity"] for key, row in found.items()} == pytest.approx(
        {
            **{"active x 1": 1, "active x 2": 0.5, "active x 3": 0.25, "active y 2": 0.5},
            **{"steeper x 1": 1, "steeper x 2": 0.25, "steeper x 3": 0.125, "steeper y 2": 0.5},
            **{"flatter x 1": 1, "flatter x 2": 1, "flatter x 3": 0.5, "flatter y 2": 0.5},
        }
    )


def test_exposures_are_those_of_the_pages_and_their_contexts() -> None:
    """Ranks 1 to 3 are worth 1, 1/2 and 1/4 in context x, steeper 1, 1/4, 1/8; rank 2 of y 1/4 or
    1/8.

    e1: pages of two, two and one documents. v1 would show a above b, v2 c above a.
    e2: s4 is compared, s5 is not. v3 has d, c, b, a, e; of the logged order c, d and e are unknown
    and share the middle of ranks 3 to 5. Nobody would show e. Of query z v3 does not know all,
    and no search of w is compared.
    """
    found = built(
        "int_evaluation_pairs__exposed",
        evaluations="""
            evaluation_id model_version champion_version
            e1            v2            v1
            e2            v3            logged""",
        int_evaluation_impressions__judged="""
            evaluation_id search_id user_id is_compared query doc_id context rank clicked
            e1            s1        u1      true        q     a      x       1    1
            e1            s1        u1      true        q     b      x       2    0
            e1            s2        u2      true        q     a      y       1    0
            e1            s2        u2      true        q     b      y       2    1
            e1            s3        u2      true        q     a      x       1    0
            e2            s4        u1      true        q     a      x       1    1
            e2            s4        u1      true        q     b      x       2    0
            e2            s5        u2      false       q     b      x       1    1
            e2            s5        u2      false       q     c      x       2    0
            e2            s5        u2      false       q     a      x       3    0
            e2            s6        u2      false       w     k      x       1    0
            e2            s7        u2      true        z     k      x       1    0""",
        candidate_scores="""
            model_version query doc_id score
            v1            q     a      3
            v1            q     b      2
            v1            q     c      1
            v2            q     a      2
            v2            q     b      1
            v2            q     c      3
            v3            q     a      2
            v3            q     b      3
            v3            q     c      4
            v3            q     d      5
            v3            q     e      1
            v3            w     k      1""",
        int_evaluation_propensities="""
            curve   context rank propensity
            active  x       1    1.0
            active  x       2    0.5
            active  x       3    0.25
            active  y       1    1.0
            active  y       2    0.25
            steeper x       1    1.0
            steeper x       2    0.25
            steeper x       3    0.125
            steeper y       1    1.0
            steeper y       2    0.125""",
    )
    columns = (
        *("n_impressions", "n_clicks", "challenger_rank", "champion_rank"),
        *("shown_exposure", "challenger_exposure", "champion_exposure"),
    )
    assert {key: tuple(row[name] for name in columns) for key, row in found.items()} == {
        "e1 active q a": (3, 1, 2, 1, 3, 0.75, 3),
        "e1 active q b": (2, 1, 3, 2, 0.75, 0, 0.75),
        "e1 active q c": (0, 0, 1, 3, 0, 3, 0),
        "e1 steeper q a": (3, 1, 2, 1, 3, 0.375, 3),
        "e1 steeper q b": (2, 1, 3, 2, 0.375, 0, 0.375),
        "e1 steeper q c": (0, 0, 1, 3, 0, 3, 0),
        "e2 active q a": (2, 1, 4, 1, 1.25, 0, 1),
        "e2 active q b": (2, 1, 3, 2, 1.5, 0, 0.5),
        "e2 active q c": (1, 0, 2, 4, 0.5, 0.5, 0),
        "e2 active q d": (0, 0, 1, 4, 0, 1, 0),
        "e2 steeper q a": (2, 1, 4, 1, 1.125, 0, 1),
        "e2 steeper q b": (2, 1, 3, 2, 1.25, 0, 0.25),
        "e2 steeper q c": (1, 0, 2, 4, 0.25, 0.25, 0),
        "e2 steeper q d": (0, 0, 1, 4, 0, 1, 0),
    }


def test_a_line_is_fitted_to_the_clicks_of_an_order() -> None:
    """To the base 2 the challenger's ranks 1, 2 and 4 (0, 1, 2) have rates of 1/2, 1/8 and 1/8
    (-1, -3, -3) with weights of 8, 16 and 8 clicks: the means are 1 and -2.5, the slope is
    (8 * 1 - 8 * 3) / (8 + 8) = -1. Four clicks at rank 3 say nothing. The champion's ranks 1 and 2
    have 1/8 and 1/2: a rise, so both have the mean of (24 * -3 + 8 * -1) / 32. e2 has four clicks,
    which is none but its mean of 1/2; the five of e3 are 1/2 again, beside one in ten.
    """
    found = built(
        "int_evaluation_orders__fitted",
        int_evaluation_pairs__exposed="""
            evaluation_id curve  doc_id challenger_rank champion_rank n_clicks shown_exposure
            e1            active a      1               1.6           8        16
            e1            active b      2               1             16       128
            e1            active c      4               1             8        64
            e1            active d      3               3             4        4
            e1            active e      1               1             0        0
            e2            active a      1               1             4        8
            e3            active a      2               2             5        10
            e3            active b      1               1             1        10""",
    )
    assert {key: (row["intercept"] / LN2, row["slope"]) for key, row in found.items()} == {
        "e1 active challenger": pytest.approx((-1.5, -1)),
        "e1 active champion": pytest.approx((-2.5, 0)),
        **{
            f"{e} active {side}": pytest.approx((-1, 0))
            for e in ("e2", "e3")
            for side in ("challenger", "champion")
        },
    }


def test_expectations_mix_what_both_orders_say() -> None:
    """The champion's order says 1/2 at rank 1 and 1/8 at rank 4; the challenger's 1/4 everywhere.

    Of the challenger's rank 1 a quarter was seen, so it has half of its voice: 1/4. Of rank 2 three
    quarters were: it has all of it, 1/2. What was never shown is between the lower over 3 and
    the higher times 3, and nothing is clicked more often than seen. e2's lines are above that.
    """
    found = built(
        "int_evaluation_pairs__expected",
        {"unseen_factor": 3},
        int_evaluation_pairs__exposed="""
            evaluation_id curve query doc_id n_impressions n_clicks shown_exposure \
challenger_rank champion_rank challenger_exposure champion_exposure
            e1 active  q a 4 3 4.0 1 1 1.0 1.0
            e1 active  r b 0 0 0.0 1 4 3.0 0.0
            e1 active  q c 4 1 4.0 2 4 3.0 0.5
            e1 active  r d 0 0 0.0 2 1 1.0 1.0
            e2 active  q a 4 3 4.0 1 1 1.0 1.0
            e2 active  r b 0 0 0.0 1 1 1.0 1.0
            e1 steeper q a 0 0 0.0 1 1 1.0 1.0""",
        int_evaluation_orders__fitted=f"""
            evaluation_id curve   side       intercept   slope
            e1            active  champion   {-LN2}      -1
            e1            active  challenger {-2 * LN2}  0
            e2            active  champion   {LN2}       0
            e2            active  challenger {2 * LN2}   0
            e1            steeper champion   {-3 * LN2}  0""",
    )
    columns = ("expected_attraction", "attraction", "attraction_low", "attraction_high")
    mixed = 2 ** -(3 * 0.75 + 2 * 0.25), 2 ** -(1 * 0.5 + 2 * 0.5)
    assert {key: tuple(row[name] for name in columns) for key, row in found.items()} == {
        "e1 active q a": pytest.approx((2 ** -(1 * 0.75 + 2 * 0.25), 0.75, 0.75, 0.75)),
        "e1 active r b": pytest.approx((mixed[0], mixed[0], 1 / 8 / 3, 3 / 4)),
        "e1 active q c": pytest.approx((2 ** -(3 * 0.5 + 2 * 0.5), 0.25, 0.25, 0.25)),
        "e1 active r d": pytest.approx((mixed[1], mixed[1], 1 / 4 / 3, 1)),
        "e2 active q a": pytest.approx((1, 0.75, 0.75, 0.75)),
        "e2 active r b": pytest.approx((1, 1, 1 / 3, 1)),
        "e1 steeper q a": pytest.approx((1 / 8, 1 / 8, 0, 3 / 8)),
    }
    assert [key for key, row in found.items() if row["is_seen"]] == [
        key for key in found if key in ("e1 active q a", "e1 active q c", "e2 active q a")
    ]


ESTIMATED = {
    "evaluations": """
        evaluation_id model_version champion_version
        e1            v2            v1
        e2            v2            logged
        e3            v2            v1""",
    "int_evaluation_impressions__judged": """
        evaluation_id search_id user_id is_compared query doc_id context rank clicked
        e1            s1        u1      true        q     a      x       1    1
        e1            s1        u1      true        q     b      x       2    0
        e1            s2        u2      true        q     a      y       1    0
        e1            s3        u2      true        q     a      y       1    0
        e1            s3        u2      true        q     b      y       2    1
        e1            s4        u3      true        t     g      x       1    1
        e2            s1        u1      true        q     a      x       1    1
        e2            s1        u1      true        q     b      x       2    0
        e2            s2        u2      false       q     b      x       1    1
        e2            s2        u2      false       q     a      x       2    0
        e3            s9        u9      true        r     k      x       1    0""",
    "int_evaluation_propensities": """
        curve   context rank propensity
        active  x       1    1.0
        active  x       2    0.5
        active  x       3    0.25
        active  y       1    1.0
        active  y       2    0.25
        steeper x       1    0.7""",
    "int_evaluation_pairs__expected": f"""
        evaluation_id curve query doc_id n_clicks shown_exposure challenger_rank champion_rank \
challenger_exposure champion_exposure expected_attraction is_seen \
attraction attraction_low attraction_high
        e1 active  q a 1 3.0  2 1 0.75 3.0  0.5  true  {1 / 3} -     -
        e1 active  q b 1 0.75 3 2 0.0  0.75 0.25 true  {4 / 3} -     -
        e1 active  q c 0 0.0  1 3 3.0  0.0  0.25 false 0.25  0.125 0.75
        e1 active  t g 1 1.0  1 1 1.0  1.0  0.5  true  1.0   1.0   1.0
        e1 steeper q a 1 1.0  1 1 0.6  1.0  0.5  true  1.0   1.0   1.0
        e1 flatter q a 1 1.0  1 1 0.4  1.0  0.5  true  1.0   1.0   1.0
        e2 active  q a 1 1.5  2 1 0.5  1.0  0.5  true  {2 / 3} -     -
        e2 active  q b 1 1.5  1 2 1.0  0.5  0.25 true  {2 / 3} -     -
        e3 active  r k 0 1.0  2 2 3.0  3.0  0.5  true  0.5   0.5   0.5
        e3 active  r l 0 1.0  4 4 0.0  4.0  0.0  true  0.0   -     -
        e3 active  r m 0 0.0  1 3 1.0  0.0  0.25 false 0.25  0.125 0.75
        e3 active  r n 0 0.0  3 1 0.0  1.0  0.5  false 0.5   0.25  1.0""",
}


def test_the_estimate_is_doubly_robust() -> None:
    """What is expected of both pages, corrected by the clicks, user by user.

    e1: of users 1, 2 and 3 the champion's page earns its clicks: 1, 1 and 1. The challenger's is
    expected to earn 0.5 of u1, who clicked a 0.5 more often than expected: a has a quarter of its
    exposure there, so 0.625. Of u2 it is 0.25 + 0.375, less two clicks on a of 0.5 each: 0.375. Of
    u3 it is the champion's page. So the difference is -1 of 3, and users err by -1/24, -7/24 and
    8/24 about it. Of four searches one does not change.
    e2: the logged order earns what it showed, and what the search that was not compared adds to
    what is known of a and b: 11/12 and 1/12, against 7/12 and 5/12.
    e3: the champion, too, has something that was never shown. Its one user is expected to click
    0.25 and 0.5, and did not click k, which would be seen three times as much. Of l, which is
    never clicked, only the champion would show more than was shown.
    """
    found = built("int_evaluation_clicks__estimated", {"confidence_level": 0.9}, **ESTIMATED)
    columns = (
        *("n_searches", "n_users", "n_clicks", "challenger_clicks", "champion_clicks"),
        *("relative_delta", "unseen_low", "unseen_high", "user_std_error"),
        *("support", "logged_overlap", "changed_share"),
    )
    expected = {
        "e1": (
            *(4, 3, 3, 2, 3, -1 / 3, -1 / 8, 1 / 2, math.sqrt(1 + 49 + 64) / 24 / 3),
            *(1.75 / 4.75, 1.75 / 4.75, 3 / 4),
        ),
        "e2": (1, 1, 2, 1, 1, 0, 0, 0, math.sqrt(2) / 3, 1, 1, 1),
        "e3": (1, 1, 0, 1.75, 2, -1 / 8, -0.625 / 2, 0.75 / 2, 0.375 / 2, 3 / 4, 1 / 4, 1),
    }
    for evaluation, values in expected.items():
        row = found[evaluation]
        assert {name: row[name] for name in columns} == pytest.approx(
            dict(zip(columns, values, strict=True)), abs=1e-9
        )
    propensity_error = ((1 - 0.4) - (1 - 0.6)) / 2
    assert found["e1"]["propensity_std_error"] == pytest.approx(propensity_error)
    assert found["e1"]["noise"] == pytest.approx(
        NormalDist().inv_cdf(0.95) * math.hypot(expected["e1"][8], propensity_error)
    )
