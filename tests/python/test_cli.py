"""The `flywheel` command from outside: a process, its exit status, its words and its files."""

import contextlib
import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from conftest import PROJECT, Flywheel, Run, Turned
from flywheel import registry
from flywheel.cli import _as_sentence, cli
from flywheel.serving import load_deployment, load_ranker
from flywheel.warehouse import connect
from simulated import (
    HOSTILE,
    IMAGE,
    SCRIPT,
    settings_of,
    small_world,
    write_flat,
    write_ubi,
)

PUBLIC_TABLES = (
    "dim_model_versions",
    "fct_canary_comparisons",
    "fct_canary_decisions",
    "fct_canary_metrics",
    "fct_flywheel_iterations",
    "fct_impressions",
    "fct_offline_evaluations",
    "fct_offline_online_ledger",
    "fct_offline_verdicts",
    "fct_position_propensities",
    "fct_propensity_diagnostics",
    "fct_quarantined_rows",
    "fct_ranker_scores",
    "fct_searches",
    "fct_sessions",
    "fct_training_groups",
    "fct_training_manifest",
    "fct_training_pairs",
    "fct_weak_labels",
)
EMPTY_AFTER_ONE_TURN = {
    *("fct_canary_comparisons", "fct_canary_decisions", "fct_canary_metrics"),
    "fct_quarantined_rows",
}
COMMANDS = (
    *("simulate", "build", "validate", "train", "evaluate", "run", "score"),
    *("canary", "promote", "rollback", "status", "report", "demo", "contract", "forget"),
)


def run(flywheel: Flywheel, *arguments: Any) -> Run:
    """Run the command; whatever happens, nobody may see a traceback."""
    done = flywheel.command(*map(str, arguments))
    assert "Traceback" not in done.output, done.output
    return done


def ok(flywheel: Flywheel, *arguments: Any) -> Run:
    """The same, and it must succeed."""
    done = run(flywheel, *arguments)
    assert done.status == 0, done.output
    return done


def refused(flywheel: Flywheel, *arguments: Any) -> str:
    """The same, and it must say one sentence on standard error and end with status 1."""
    done = run(flywheel, *arguments)
    assert done.status == 1, done.output
    said = done.output.removeprefix(done.stdout)
    assert said.startswith("flywheel: ") and said.count("\n") == 1, done.output
    assert said.rstrip().endswith("."), said
    return said


def arms(flywheel: Flywheel) -> tuple[Any, Any]:
    """What the manifest serves: champion and canary."""
    manifest = json.loads((flywheel.home / "deployment.json").read_text())
    return manifest["champion"], manifest["canary"]


@pytest.fixture(scope="module")
def ubi(tmp_path_factory: pytest.TempPathFactory) -> Turned:
    """One turn on a UBI log with everything: dbt's tests, Great Expectations, the report."""
    folder = tmp_path_factory.mktemp("ubi")
    world = small_world()
    log = write_ubi(world, folder / "log")
    features = world.write_features(folder / "features.parquet")
    flywheel = Flywheel(folder / "home")
    turn = ok(
        flywheel,
        *("run", "--log", log, "--features", features, "--var", "canary_share=0.5"),
    )
    return Turned(flywheel, turn, log, features)


@pytest.fixture
def copied(flat: Turned, tmp_path: Path) -> Turned:
    """The flat flywheel in another folder, to be changed by one test."""
    home = tmp_path / "home"
    shutil.copytree(flat.flywheel.home, home, ignore=shutil.ignore_patterns("target", "logs"))
    return Turned(Flywheel(home), flat.run, flat.log, flat.features)


# ---- run ----


def test_six_columns_are_enough_for_a_turn(flat: Turned) -> None:
    counts = {
        name: flat.flywheel.rows(f"select count(*) from main.{name}")[0][0]
        for name in PUBLIC_TABLES
    }
    assert {name for name, n in counts.items() if not n} == EMPTY_AFTER_ONE_TURN
    shown = pq.read_table(flat.log)
    assert counts["fct_searches"] == len(set(shown["search_id"].to_pylist()))
    steps = [line.split()[0] for line in flat.run.output.splitlines() if line]
    assert steps[:8] == [
        "Check", "Build", "Propensities:", "Train", "Evaluate", "Refit", "Record", "Report",
    ]  # fmt: skip


def test_the_first_model_is_compared_with_the_logged_order(flat: Turned) -> None:
    gate = flat.flywheel.records(
        "select * from fct_offline_evaluations where is_gate_metric and model_version = ?",
        flat.judged,
    )
    assert len(gate) == 1
    assert gate[0]["champion_version"] == "logged"
    assert gate[0]["delta_ci_low"] < gate[0]["delta"] < gate[0]["delta_ci_high"]
    assert gate[0]["is_better"] == (gate[0]["delta_ci_low"] > 0)
    turns = flat.flywheel.records("select * from fct_flywheel_iterations")
    assert len(turns) == 1
    assert turns[0]["iteration"] == 1
    assert turns[0]["challenger_version"] == flat.judged
    assert turns[0]["champion_version"] == "logged"
    (verdict,) = flat.flywheel.records("select * from fct_offline_verdicts")
    assert verdict["seen_delta"] == gate[0]["delta"]
    assert turns[0]["offline_delta"] == verdict["relative_delta"]
    assert turns[0]["offline_verdict"] == verdict["verdict"]
    assert (
        turns[0]["fingerprint"]
        == (flat.flywheel.rows("select fingerprint from fct_training_manifest")[0][0])
    )


def test_the_manifest_names_files_that_are_there(flat: Turned) -> None:
    """The log is made so that a model wins; then the manifest must be servable."""
    manifest = json.loads((flat.flywheel.home / "deployment.json").read_text())
    assert manifest["champion"] == {"model_version": "logged", "snapshot": None, "files": None}
    assert manifest["canary"]["model_version"] == flat.version
    assert manifest["canary"]["share"] == 0.05
    for file in manifest["canary"]["files"].values():
        content = (flat.flywheel.home / file["path"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    served = load_deployment(flat.flywheel.home / "deployment.json")
    assert served.canary.ranker.model_version == flat.version
    assert f"{flat.version} goes to 5% of the users" in flat.run.output


def test_everything_runs_on_ubi(ubi: Turned) -> None:
    assert re.search(r"Build +\d+ models built, \d{3} tests passed", ubi.run.output)
    assert re.search(r"Validate +(\d+) of \1 expectations hold", ubi.run.output)
    report = ubi.flywheel.home / "reports" / "report.html"
    assert str(report) in ubi.run.output
    assert report.stat().st_size > 10_000
    assert (ubi.flywheel.home / "data_docs" / "index.html").exists()
    assert arms(ubi.flywheel)[1]["share"] == 0.5


def test_hostile_texts_are_only_texts(ubi: Turned, flat: Turned) -> None:
    for turned in (ubi, flat):
        known = turned.flywheel.rows("select distinct normalized_query from fct_searches")
        assert {(text,) for text in HOSTILE} <= set(known)
        assert turned.flywheel.rows(
            "select count(*) > 0 from fct_impressions where doc_id = ?", IMAGE
        ) == [(True,)]
        pages = [*turned.flywheel.home.rglob("*.html")]
        assert pages
        for page in pages:
            text = page.read_text(encoding="utf-8")
            assert SCRIPT not in text, page
            assert IMAGE not in text, page


def test_too_little_to_learn_from_is_said_and_is_no_error(tmp_path: Path) -> None:
    world = small_world()
    log = write_flat(world, tmp_path / "log.parquet", days=2)
    few = pq.read_table(log).slice(0, 200)
    pq.write_table(few, log)
    flywheel = Flywheel(tmp_path / "home")
    turn = ok(flywheel, "run", "--log", log, "--no-tests", "--no-validation")
    assert re.search(r"fewer|not enough|too few|needed|at least", turn.output), turn.output
    assert flywheel.rows("select count(*) from dim_model_versions") == [(0,)]
    ((decision, reason),) = flywheel.rows("select decision, reason from fct_flywheel_iterations")
    assert decision == "not_trainable"
    assert reason.rstrip(".") in turn.output
    assert not (flywheel.home / "models").exists() or not any((flywheel.home / "models").iterdir())
    assert "champion" in refused(
        flywheel, "score", "--features", log, "--output", tmp_path / "out.parquet"
    )
    _, status, score = five_lines(log, log, tmp_path / "scored.parquet")
    assert decision in ok(flywheel, *status).output.replace(" ", "_")
    assert "no model" in refused(flywheel, *score).lower()


# ---- the README's five lines ----


def five_lines(log: Path, features: Path, output: Path) -> tuple[list[str], ...]:
    """The commands among the lines that README gives for one's own logs, with these files."""
    text = (PROJECT / "README.md").read_text()
    (lines,) = re.findall(r"in five lines\n\n((?:    .+\n)+)", text)
    commands = [shlex.split(line, comments=True) for line in lines.splitlines()]
    assert len(commands) == 5
    files = {
        "logs/clicks.parquet": log,
        "features.parquet": features,
        "candidates.parquet": features,
        "scored.parquet": output,
    }
    named = [[str(files.get(word, word)) for word in words] for words in commands]
    first, *more = [words[1:] for words in named if words[0] == "flywheel"]
    assert [first[0], *(words[0] for words in more)] == ["run", "status", "score"]
    return [*first, "--no-tests", "--no-validation"], *more


def outcomes(flywheel: Flywheel) -> list[str]:
    return [turn["status"] for turn in json.loads(ok(flywheel, "status", "--json").stdout)["turns"]]


def scored_versions(path: Path) -> set[str]:
    return set(pq.read_table(path)["model_version"].to_pylist())


@pytest.mark.slow
def test_the_five_lines_work_while_users_decide(copied: Turned, tmp_path: Path) -> None:
    output = tmp_path / "scored.parquet"
    run_again, status, score = five_lines(copied.log, copied.features, output)
    assert outcomes(copied.flywheel) == ["deployed"]
    ok(copied.flywheel, *score)
    assert scored_versions(output) == {copied.version}
    # Another turn has to wait for the canary's users.
    assert "needs more users" in ok(copied.flywheel, *run_again).output
    assert outcomes(copied.flywheel) == ["deployed"]
    ok(copied.flywheel, *status)
    ok(copied.flywheel, *score)
    assert scored_versions(output) == {copied.version}


def test_the_five_lines_work_after_a_turn(flat: Turned, tmp_path: Path) -> None:
    output = tmp_path / "scored.parquet"
    _, status, score = five_lines(flat.log, flat.features, output)
    for command in (status, score):
        ok(flat.flywheel, *command)
    assert scored_versions(output) == {flat.version}


@pytest.mark.slow
@pytest.mark.parametrize("end", ["promote", "rollback"])
def test_the_five_lines_work_when_all_is_decided(copied: Turned, tmp_path: Path, end: str) -> None:
    output = tmp_path / "scored.parquet"
    ok(copied.flywheel, end)
    run_again, status, score = five_lines(copied.log, copied.features, output)
    for command in (status, score, run_again, status, score):
        ok(copied.flywheel, *command)
    assert len(scored_versions(output)) == 1


# ---- score ----


def test_score_needs_a_model(flat: Turned, tmp_path: Path) -> None:
    output = tmp_path / "scores.parquet"
    said = refused(flat.flywheel, "score", "--features", flat.features, "--output", output)
    assert "logged order" in said and "--model latest" in said
    said = refused(
        flat.flywheel,
        *("score", "--features", flat.features, "--output", output, "--model", "v0"),
    )
    assert "'v0'" in said and flat.version in said
    assert not output.exists()


@pytest.mark.parametrize("by_name", [False, True])
def test_scores_are_those_of_the_serving_side(flat: Turned, tmp_path: Path, by_name: bool) -> None:
    output = tmp_path / "the scores.parquet"
    model = flat.version if by_name else "challenger"
    ok(
        flat.flywheel,
        *("score", "--features", flat.features, "--output", output, "--model", model),
    )
    given, scored = pq.read_table(flat.features), pq.read_table(output)
    assert scored.column_names == ["query", "doc_id", "score", "model_version"]
    assert scored.select(["query", "doc_id"]).equals(given.select(["query", "doc_id"]))
    assert set(scored["model_version"].to_pylist()) == {flat.version}
    files = arms(flat.flywheel)[1]["files"]
    expected = load_ranker(flat.version, files, flat.flywheel.home).score_table(given)
    np.testing.assert_array_equal(scored["score"].to_numpy(), expected)
    assert len(np.unique(expected)) > 30


# ---- status, promote, rollback ----


def test_status_says_it_to_people_and_to_scripts(flat: Turned) -> None:
    said = ok(flat.flywheel, "status").output
    assert re.search(r"Champion +logged", said)
    assert re.search(rf"Canary +{flat.version} for 5% of the users", said)
    done = ok(flat.flywheel, "status", "--json")
    found = json.loads(done.stdout)
    assert done.output == done.stdout
    assert found["champion"] == "logged"
    assert found["canary"]["model_version"] == flat.version
    assert [m["model_version"] for m in found["models"]] == [flat.judged, flat.version]
    assert [t["status"] for t in found["turns"]] == ["deployed"]


def test_a_roll_back_restores_exactly_what_was_served(copied: Turned) -> None:
    flywheel, settings = copied.flywheel, settings_of(copied.flywheel.home)
    production = (arms(flywheel)[0], None)
    first = arms(flywheel)[1]

    assert f"{copied.version} is the champion" in ok(flywheel, "promote").output
    served = {
        "model_version": copied.version,
        "snapshot": first["snapshot"],
        "files": first["files"],
    }
    assert arms(flywheel) == (served, None)
    assert "No canary is running" in refused(flywheel, "promote")
    assert "No canary is running" in refused(flywheel, "canary")

    second = ok(flywheel, "train", "--seed", "2").stdout.splitlines()[-1].split()[0]
    assert "challenger, not canary" in refused(flywheel, "promote", second)
    registry.start_canary(settings, second, 0.2)
    ok(flywheel, "promote", second)
    assert arms(flywheel)[0]["model_version"] == second
    assert "Everybody sees" in ok(flywheel, "rollback", "--reason", 'it\'s "worse"').output
    assert arms(flywheel) == (served, None)
    ok(flywheel, "rollback")
    assert arms(flywheel) == production
    assert "flywheel: " in refused(flywheel, "rollback")
    states = dict(
        flywheel.rows(
            "select model_version, arg_max(to_state, event_id) "
            "from flywheel_state.registry_events group by 1"
        )
    )
    assert states == {
        copied.judged: "retired", copied.version: "rolled_back", second: "rolled_back",
    }  # fmt: skip


def test_a_canary_is_judged_on_the_log_remembered(ubi: Turned, tmp_path: Path) -> None:
    """A week served by the manifest joins the log; nobody says again where the log is."""
    world, flywheel = small_world(), ubi.flywheel
    deployment = load_deployment(flywheel.home / "deployment.json")
    served, share = deployment.deployment_id, deployment.canary.share
    write_ubi(world, ubi.log, deployment=deployment, days=7, start="2026-01-19")
    with connect(settings_of(flywheel.home), read_only=False) as connection:
        # The turn was recorded by this machine's clock; the simulated users live in another year.
        connection.execute("update flywheel_state.deployments set started_at = '2026-01-19'")
    before = flywheel.rows("select count(*) from fct_searches")[0][0]
    try:
        judged = ok(flywheel, "canary", "--no-tests").output
        assert flywheel.rows("select count(*) from fct_searches")[0][0] > before
        looks = flywheel.records("select * from fct_canary_decisions order by look")
        assert {look["deployment_id"] for look in looks} == {served}
        users = looks[-1]["n_canary_users"] + looks[-1]["n_champion_users"]
        assert abs(looks[-1]["n_canary_users"] / users - share) < 4 * (0.25 / users) ** 0.5
        final = [look for look in looks if look["decision"] != "continue"] or looks[-1:]
        assert f"{ubi.version}: {final[0]['decision']} - {final[0]['reason']}" in judged
        state = flywheel.rows("select state from dim_model_versions where refit_of is not null")
        expected = {
            "promote": "champion",
            "roll_back": "rolled_back",
            "inconclusive": "retired",
            "continue": "canary",
        }
        assert state == [(expected[final[0]["decision"]],)]
        remembered = json.loads((flywheel.home / "vars.json").read_text())
        assert remembered["raw_queries"] == str(ubi.log)
        assert remembered["canary_share"] == 0.5
    finally:
        for path in ubi.log.glob("*2026-01-19*"):
            path.unlink()


def test_report_goes_where_it_is_told(flat: Turned, tmp_path: Path) -> None:
    output = tmp_path / "a place" / "it's.html"
    done = ok(flat.flywheel, "report", "--output", output)
    assert done.stdout.strip() == str(output)
    assert "<html" in output.read_text(encoding="utf-8")


# ---- words ----


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = CliRunner().invoke(cli, [command, "--help"])
    assert done.exit_code == 0
    assert done.output.startswith(f"Usage: cli {command}")
    assert len(done.output.splitlines()) > 4


def test_no_command_is_without_a_test() -> None:
    assert sorted(cli.commands) == sorted(COMMANDS)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["build", "--var", "no_such=1"], "no_such"),
        (["build", "--var", "canary_share"], "no '='"),
        (["build", "--var", "propensity_contexts=[device"], "YAML"),
        (["run", "--log", "no such file's.parquet"], "no such file's.parquet"),
        (["simulate", "--start", "yesterday"], "YYYY-MM-DD"),
        (["status"], "flywheel build"),
        (["promote"], "flywheel build"),
        (["rollback"], "flywheel build"),
        (["report"], "flywheel build"),
        (["validate"], "flywheel build"),
        (["train"], "flywheel build"),
        (["evaluate"], "flywheel build"),
        (["canary"], "flywheel build"),
        (["score", "--features", "x.parquet", "--output", "y.parquet"], "x.parquet"),
    ],
)
def test_one_sentence_says_what_to_do(flywheel: Flywheel, arguments: list[str], words: str) -> None:
    assert words in refused(flywheel, *arguments)


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("v20260101-abc goes on.", "v20260101-abc goes on."),
        ("the log holds little", "The log holds little."),
    ],
)
def test_names_keep_their_case(text: str, sentence: str) -> None:
    assert _as_sentence(text) == sentence


def test_simulate_writes_what_run_reads(flywheel: Flywheel, tmp_path: Path) -> None:
    said = ok(
        flywheel,
        *("simulate", "--output", tmp_path / "shop", "--days", 1, "--searches-per-day", 20),
    ).output
    assert (tmp_path / "shop" / "log" / "ubi_queries_2026-01-05.ndjson").exists()
    assert "flywheel run --log" in said


# ---- a warehouse that cannot be had ----


@contextlib.contextmanager
def held(database: Path, *, read_only: bool) -> Iterator[None]:
    """Another process has the warehouse open."""
    program = (
        "import sys, duckdb; "
        f"c = duckdb.connect(sys.argv[1], read_only={read_only}); "
        "c.execute('select 1'); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"open\n"
        yield
        process.stdin.close()


def test_a_held_warehouse_is_said(copied: Turned, monkeypatch: pytest.MonkeyPatch) -> None:
    flywheel = copied.flywheel
    monkeypatch.setenv("FLYWHEEL_LOCK_WAIT", "0.3")
    with held(flywheel.database, read_only=False):
        for command in (["status"], ["promote"], ["canary"], ["run", "--no-tests"]):
            assert "held by another process" in refused(flywheel, *command)
    with held(flywheel.database, read_only=True):
        ok(flywheel, "status")  # readers share
        for command in (["promote"], ["build", "--no-tests"]):
            assert "held by another process" in refused(flywheel, *command)
    monkeypatch.setenv("FLYWHEEL_LOCK_WAIT", "soon")
    assert "FLYWHEEL_LOCK_WAIT" in refused(flywheel, "status")


@pytest.mark.parametrize("content", [b"not a warehouse at all " * 500, b"", b"\0" * 8192])
def test_a_broken_warehouse_is_said(flywheel: Flywheel, content: bytes) -> None:
    flywheel.home.mkdir()
    flywheel.database.write_bytes(content)
    assert str(flywheel.database) in refused(flywheel, "status")
    if content:
        assert str(flywheel.database) in refused(flywheel, "build")
        assert flywheel.database.read_bytes() == content


def test_a_damaged_model_is_not_promoted_but_can_be_got_rid_of(copied: Turned) -> None:
    files = arms(copied.flywheel)[1]["files"]
    model = copied.flywheel.home / files["model"]["path"]
    model.write_bytes(model.read_bytes()[:-1])
    assert "damaged" in refused(copied.flywheel, "promote")
    ok(copied.flywheel, "rollback")
    assert arms(copied.flywheel) == (
        {"model_version": "logged", "snapshot": None, "files": None},
        None,
    )


def test_unreadable_vars_are_said(flywheel: Flywheel) -> None:
    flywheel.home.mkdir()
    (flywheel.home / "vars.json").write_text("{")
    assert "vars.json" in refused(flywheel, "build")
