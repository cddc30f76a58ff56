"""The walks of docs/extending.md: each diff is applied to a copy, built, and seen at work."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from math import log2
from pathlib import Path

import duckdb
import pytest

from conftest import PROJECT, Flywheel
from flywheel import inputs
from flywheel.contract import policy
from flywheel.contract.manifest import load_project
from flywheel.errors import FlywheelError
from flywheel.forget import ids
from patience import PATIENCE
from simulated import small_world, write_flat

PAGE = PROJECT / "docs" / "extending.md"
MOST_FILES = {
    "A log format": 4,
    "An estimator": 2,
    "A labelling function": 2,
    "A bot rule": 1,
    "An offline metric": 2,
    "A canary metric": 2,
}
"""How many files each walk may touch."""

LOG_SIDE = ("staging", "intermediate/log", "intermediate/behavior", "marts/behavior")
"""Folders of models that no walk changes: their tests are left to the sample."""


def walks() -> dict[str, str]:
    """Heading -> diff."""
    found = re.findall(r"^## (.+?)$.*?^```diff\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
    assert len(found) == PAGE.read_text("utf-8").count("```diff")
    return dict(found)


def touched(diff: str) -> set[str]:
    """Files that a diff changes or adds."""
    return set(re.findall(r"^\+\+\+ b/(.+)$", diff, re.M))


def apply(diff: str, project: Path) -> None:
    subprocess.run(
        ["git", "apply", "--whitespace=error-all"],
        input=diff,
        cwd=project,
        env={"GIT_CEILING_DIRECTORIES": str(project.parent), "PATH": "/usr/bin:/bin"},
        text=True,
        check=True,
    )


def copied(folder: Path) -> Path:
    """What dbt reads of the project, in a folder of its own."""
    folder.mkdir()
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(PROJECT / name, folder)
    for name in ("macros", "models", "seeds", "analyses", "docs"):
        shutil.copytree(PROJECT / name, folder / name)
    shutil.copytree(PROJECT / "tests" / "generic", folder / "tests" / "generic")
    return folder


def test_every_walk_touches_few_files_that_fit(tmp_path: Path) -> None:
    assert set(walks()) == set(MOST_FILES)
    shutil.copytree(PROJECT / "macros", tmp_path / "project" / "macros")
    (tmp_path / "project" / "seeds").mkdir()
    shutil.copy(PROJECT / "seeds" / "metrics.csv", tmp_path / "project" / "seeds")
    for heading, diff in walks().items():
        assert 1 <= len(touched(diff)) <= MOST_FILES[heading]
        apply(diff, tmp_path / "project")
        for name in touched(diff):
            added = [line[1:] for line in diff.splitlines() if re.match(r"\+[^+]", line)]
            text = (tmp_path / "project" / name).read_text("utf-8").splitlines()
            assert set(text) & set(added), f"{name}: nothing of the diff is in it"


def shop_log(flat: Path, folder: Path) -> Path:
    """A flat log as the shop of the walk writes it: three files, each of another kind."""
    folder.mkdir()
    kinds = {"parquet": "", "json": "", "csv": "product.sku"}
    for number, (kind, sku) in enumerate(kinds.items()):
        document = f'doc_id as "{sku}"' if sku else "{'sku': doc_id} as product"
        ending = "ndjson" if kind == "json" else kind
        duckdb.execute(
            f"""
            copy (
                select
                    search_id as request,
                    searched_at as requested_at,
                    query as phrase,
                    {document},
                    rank as "Position",
                    clicked as was_clicked,
                    user_id as customer,
                    'ranked' as rank
                from read_parquet('{flat}')
                where dayofyear(searched_at) % {len(kinds)} = {number}
                order by request, "Position"
            ) to '{folder}/part.{ending}' (format {kind})
            """
        )
    return folder


def test_a_log_with_other_names_is_read_as_the_flat_one(
    tmp_path: Path, make_flywheel: Callable[[str], Flywheel]
) -> None:
    project = copied(tmp_path / "project")
    apply(walks()["A log format"], project)
    flat = write_flat(small_world(), tmp_path / "log.parquet", columns=("user_id",))
    logs = {"flat": flat, "shop": shop_log(flat, tmp_path / "shop")}
    shown = {}
    for name, log in logs.items():
        flywheel = make_flywheel(name)
        flywheel.home.mkdir(exist_ok=True)
        given = {"log_format": name, "flat_log": str(log), "ranking_features": ""}
        assert inputs.check(given, project=project).log_format == name
        done = subprocess.run(
            [
                *(sys.executable, "-c", "from dbt.cli.main import cli; cli()", "build", "--quiet"),
                *("--vars", json.dumps(given), "--select", "+fct_impressions"),
                *("--resource-type", "model", "--resource-type", "seed"),
            ],
            cwd=project,
            env=flywheel.environment
            | {"FLYWHEEL_PROJECT": str(project), "DBT_PROFILES_DIR": str(project)},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        shown[name] = flywheel.rows("select * from fct_impressions order by search_id, doc_id")
    assert len(shown["flat"]) > 1000
    assert shown["shop"] == shown["flat"]


def test_the_check_speaks_of_a_log_by_its_own_names(tmp_path: Path) -> None:
    project = copied(tmp_path / "project")
    apply(walks()["A log format"], project)
    path = tmp_path / "shop.ndjson"
    path.write_text('{"request": "s", "phrase": "q", "product": {"sku": "d"}, "Position": 1}\n')
    with pytest.raises(
        FlywheelError, match="lacks the required columns requested_at and was_clicked;"
    ):
        inputs.check({"log_format": "shop", "flat_log": str(path)}, project=project)


def test_who_is_forgotten_is_found_under_a_logs_own_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = copied(tmp_path / "project")
    nested = walks()["A log format"].replace("user_id: customer", "user_id: who.customerId")
    apply(nested, project)
    monkeypatch.setattr(ids, "log_formats", lambda: inputs.log_formats(project))
    hashes = {kind: frozenset[str]() for kind in ("visitor", "search", "session", "text")}
    hashes |= {"visitor": {ids.salted_hash("s", "u2")}, "search": {ids.salted_hash("s", "q7")}}
    forgotten = ids.Forgotten(("u2",), "s", hashes)
    assert forgotten.names({"who": {"customerId": "u2"}, "request": "q1"})
    assert forgotten.names({"Who.CustomerId": "u2", "request": "q1"})
    assert forgotten.names({"who": {"customerId": "u3"}, "Request": "q7"})
    assert not forgotten.names({"who": "u2", "request": "q1", "product": {"sku": "u2"}})
    assert forgotten.is_mentioned('{"who": {"customerId": "u2"}, "request"')
    assert not forgotten.is_mentioned('{"product": {"sku": "u2"}, "request"')


def ask_for_a_comparison(flywheel: Flywheel) -> None:
    """As the loop would: the logged order against itself, offline and as a canary."""
    with duckdb.connect(str(flywheel.database)) as connection:
        connection.execute("create schema flywheel_state")
        connection.execute(
            "create table flywheel_state.evaluations as select 'e1' as evaluation_id, "
            "'logged' as model_version, 'logged' as champion_version, "
            "timestamp '2000-01-01' as window_start, timestamp '2100-01-01' as window_end, "
            "timestamp '2100-01-01' as requested_at"
        )
        connection.execute(
            "create table flywheel_state.deployments as select 'd1' as deployment_id, "
            "'logged' as champion_version, 'v2' as challenger_version, 'salt' as salt, "
            "'user_id' as unit, cast(0.5 as double) as canary_share, "
            "timestamp '2000-01-01' as started_at, cast(null as timestamp) as ended_at, "
            "cast(null as varchar) as outcome, cast(null as varchar) as reason"
        )
        connection.execute(
            "create table flywheel_state.model_versions as select 'v2' as model_version, "
            "timestamp '2000-01-01' as registered_at, cast(null as timestamp) as window_start, "
            "cast(null as timestamp) as window_end, 'f' as fingerprint, 'p' as artifact_path, "
            "'s' as artifact_sha256, '[]' as features, '{}' as metrics, '{}' as params"
        )


@pytest.mark.slow
def test_the_walks_build_and_are_seen_at_work(
    tmp_path: Path, make_flywheel: Callable[[str], Flywheel]
) -> None:
    """All of them in one copy; the tests of what they change still hold, and so do house rules."""
    project = copied(tmp_path / "project")
    for diff in walks().values():
        apply(diff, project)
    flywheel = make_flywheel("extended")
    flywheel.home.mkdir(exist_ok=True)
    ask_for_a_comparison(flywheel)
    given = {
        "log_format": "flat",
        "flat_log": str(write_flat(small_world(), tmp_path / "log.parquet", columns=("user_id",))),
        "ranking_features": "",
        "propensity_estimator": "logarithmic",
        "gate_metric": "clicked_on_top",
    }
    kinds = ("resource_type:unit_test", "resource_type:test")
    leave = [f"{kind},path:models/{folder}" for folder in LOG_SIDE for kind in kinds]
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from dbt.cli.main import cli; cli()", "build", "--quiet"),
            *("--indirect-selection", "cautious", "--vars", json.dumps(given)),
            *("--select", "+fct_weak_labels", "+fct_propensity_diagnostics"),
            *("+fct_offline_evaluations", "+fct_canary_decisions", "+fct_canary_comparisons"),
            *("--exclude", *leave),
        ],
        cwd=project,
        env=flywheel.environment
        | {"FLYWHEEL_PROJECT": str(project), "DBT_PROFILES_DIR": str(project)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    manifest = json.loads((flywheel.home / "target" / "manifest.json").read_text("utf-8"))
    assert policy.breaches(load_project(manifest, project)) == []

    curve = flywheel.rows(
        "select rank, propensity, is_active from fct_position_propensities "
        "where estimator = 'logarithmic' order by rank"
    )
    assert len(curve) >= 10
    for rank, propensity, is_active in curve:
        assert propensity == pytest.approx(1 / log2(1 + rank), abs=1e-12)
        assert is_active
    assert flywheel.rows(
        "select is_active, n_clicks > 0 from fct_propensity_diagnostics "
        "where estimator = 'logarithmic'"
    ) == [(True, True)]

    ((n_busy, n_named, n_others),) = flywheel.rows(
        """
        with days as (
            select user_id, searched_at::date as day
            from read_parquet(?)
            group by all
            having count(*) filter (where clicked = 1) > 20
        )
        select
            count(*) filter (where days.day is not null),
            count(*) filter (
                where days.day is not null and list_contains(bot_reasons, 'clicks_per_day')
            ),
            count(*) filter (
                where days.day is null and list_contains(bot_reasons, 'clicks_per_day')
            )
        from fct_searches as searches
        left join days
            on searches.user_id = days.user_id and searches.searched_at::date = days.day
        """,
        given["flat_log"],
    )
    assert n_busy == n_named > 20
    # A session over midnight goes with the day.
    assert n_others < n_named / 4

    votes = flywheel.rows(
        """
        select
            json_extract(labels.votes, '$.deep_clicks')::bigint as told,
            sum(case when shown.rank > 5 then shown.clicked else 0 end)::bigint as found
        from fct_weak_labels as labels
        inner join fct_impressions as shown
            on
                labels.query = shown.query
                and labels.doc_id = shown.doc_id
                and shown.searched_at >= labels.window_start
                and shown.searched_at < labels.window_end
        group by labels.query, labels.doc_id, labels.votes
        """
    )
    assert all(told == found for told, found in votes)
    assert sum(told for told, _ in votes) > 10
    ((voted, abstained),) = flywheel.rows(
        "select count(vote), count(*) filter (where vote is null) "
        "from main_intermediate.int_documents__voted where labelling_function = 'deep_clicks'"
    )
    assert voted > 10
    assert abstained > 10

    ((wanted,),) = flywheel.rows(
        """
        select avg(is_on_top) from (
            select max(if(shown.rank = 1, shown.clicked, 0)) as is_on_top
            from fct_impressions as shown
            inner join fct_searches as searches on shown.search_id = searches.search_id
            where not searches.is_randomised
            group by shown.search_id
            having max(shown.clicked) = 1
        )
        """
    )
    ((value, low, high, is_gate_metric),) = flywheel.rows(
        "select value, ci_low, ci_high, is_gate_metric from fct_offline_evaluations "
        "where metric = 'clicked_on_top'"
    )
    assert value == pytest.approx(wanted, abs=1e-12)
    assert 0 < low < value < high < 1
    assert is_gate_metric

    (last,) = flywheel.records(
        "select * from fct_canary_comparisons where metric = 'reformulation' "
        "order by look desc limit 1"
    )
    assert (last["role"], last["direction"], last["alpha"]) == ("guardrail", "lower", 0.025)
    assert last["n_champion_users"] > 10
    assert last["n_canary_users"] > 10
    ((n_reformulated, n_served),) = flywheel.rows(
        "select count(*) filter (where searches.is_reformulated), count(*) "
        "from main_intermediate.int_canary_searches__served as served "
        "inner join fct_searches as searches on served.search_id = searches.search_id"
    )
    assert 0 < n_reformulated < n_served
    assert flywheel.rows(
        "select sum(sum_y), sum(sum_d) from fct_canary_metrics "
        "where metric = 'reformulation' and look = ?",
        last["look"],
    ) == [(n_reformulated, n_served)]
