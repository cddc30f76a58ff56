"""The runner of `make check` and `make test-all`: what it calls changed, passed and failed."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from check import PROJECT, lint, plugin, sample
from check.changes import changed, fingerprint, read_tree, remember
from check.proofs import Proof, prove_all
from check.steps import Step, python, show, side_by_side
from flywheel.errors import FlywheelError


def git(project: Path, *arguments: str) -> None:
    who = ("-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *who, *arguments], cwd=project, check=True, capture_output=True)


def write(project: Path, path: str, text: str) -> None:
    (project / path).parent.mkdir(parents=True, exist_ok=True)
    (project / path).write_text(text, encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git checkout with one commit: a macro behind a macro, and models that use them or not."""
    folder = tmp_path / "project"
    files = {
        ".gitignore": "target/\n",
        "macros/deep.sql": "{% macro duckdb__deep() %}1{% endmacro %}",
        "macros/shallow.sql": "{%- macro shallow() %}{{ deep() }}{% endmacro %}",
        "models/direct.sql": "select {{ deep() }}",
        "models/indirect.sql": "select {{ shallow() }}",
        "models/neither.sql": "select deeper",
        "models/models.yml": "models: []\n",
        "tests/generic/own.sql": "select {{ deep() }}",
        "tests/holds.sql": "select 1",
        "a b ü.py": "1\n",
    }
    for path, text in files.items():
        write(folder, path, text)
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    return folder


def sql_after(project: Path, *paths: str) -> list[str]:
    return lint.sql_files(set(paths), read_tree(project), project)


def test_without_a_record_the_last_commit_is_compared(project: Path, tmp_path: Path) -> None:
    record = tmp_path / "no record.json"
    assert changed(project, read_tree(project), record) == set()

    write(project, "models/direct.sql", "select 2")
    write(project, "models/new.sql", "select 3")
    write(project, "a b ü.py", "2\n")
    write(project, "target/built.sql", "select 4")
    (project / "tests/holds.sql").unlink()
    git(project, "add", "a b ü.py")

    expected = {"models/direct.sql", "models/new.sql", "a b ü.py", "tests/holds.sql"}
    assert changed(project, read_tree(project), record) == expected


def test_with_a_record_contents_are_compared(project: Path, tmp_path: Path) -> None:
    record = tmp_path / "below" / "record.json"
    write(project, "models/direct.sql", "select 2")
    remember(record, read_tree(project))
    assert changed(project, read_tree(project), record) == set()

    git(project, "commit", "-q", "-a", "-m", "second")
    assert changed(project, read_tree(project), record) == set(), "a commit changes no file"

    write(project, "models/direct.sql", "select 3")
    write(project, "models/new.sql", "select 4")
    (project / "tests/holds.sql").unlink()
    expected = {"models/direct.sql", "models/new.sql", "tests/holds.sql"}
    assert changed(project, read_tree(project), record) == expected

    write(project, "models/direct.sql", "select 2")
    assert "models/direct.sql" not in changed(project, read_tree(project), record)


@pytest.mark.parametrize("damage", ["", "[1]", "{"])
def test_a_damaged_record_is_none(project: Path, tmp_path: Path, damage: str) -> None:
    record = tmp_path / "record.json"
    record.write_text(damage)
    write(project, "models/direct.sql", "select 2")
    assert changed(project, read_tree(project), record) == {"models/direct.sql"}


def test_outside_a_checkout_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(FlywheelError, match="git cannot say what changed"):
        read_tree(tmp_path)


def test_a_changed_file_is_linted_and_a_deleted_one_is_not(project: Path) -> None:
    (project / "tests/holds.sql").unlink()
    assert sql_after(project, "models/direct.sql", "tests/holds.sql") == ["models/direct.sql"]
    tree = read_tree(project)
    assert lint.yaml_files({"models/models.yml", "models/direct.sql"}, tree) == [
        "models/models.yml"
    ]


def test_a_changed_macro_lints_what_uses_it(project: Path) -> None:
    assert sql_after(project, "macros/deep.sql") == ["models/direct.sql", "models/indirect.sql"]
    assert sql_after(project, "macros/shallow.sql") == ["models/indirect.sql"]


@pytest.mark.parametrize("path", [".sqlfluff", "tests/lint/dbt_names/__init__.py"])
def test_changed_rules_lint_everything(project: Path, path: str) -> None:
    expected = ["models/direct.sql", "models/indirect.sql", "models/neither.sql", "tests/holds.sql"]
    assert sql_after(project, path) == expected


def test_the_parts_lint_together_what_the_whole_does() -> None:
    tree = read_tree(PROJECT)
    linted = set(lint.sql_files({".sqlfluff"}, tree, PROJECT))
    places = [PROJECT / place for place in lint.SQL_PLACES]
    every = {path.relative_to(PROJECT).as_posix() for p in places for path in p.rglob("*.sql")}
    assert linted == {path for path in every if not path.startswith(lint.NOT_LINTED)}
    ignored = (PROJECT / ".sqlfluffignore").read_text().splitlines()
    assert "tests/generic/" in ignored


def test_the_gate_runs_for_what_dbt_or_the_policy_reads() -> None:
    parsed = ("models/a/b.yml", "tests/holds.sql", "dbt_project.yml", "python/flywheel/strict.py")
    assert all(map(lint.is_parsed, parsed))
    others = ("README.md", "python/flywheel/cli.py", "tests/python/test_cli.py", ".sqlfluff")
    assert not any(map(lint.is_parsed, others))


def test_a_failing_step_shows_its_output_and_stops_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    passed: list[str] = []
    steps = [
        Step("bad", python("-c", "print('what is wrong'); raise SystemExit(3)"),
             passed=lambda: passed.append("bad")),
        Step("good", python("-c", "print('hidden')"), passed=lambda: passed.append("good")),
        Step("idle", note="nothing changed"),
    ]  # fmt: skip
    assert show(side_by_side(steps[:2], steps[2:])) == {"bad"}
    said = capsys.readouterr().out
    assert "FAILED (3)" in said and "what is wrong" in said
    assert "hidden" not in said
    assert "nothing changed" in said
    assert passed == ["good"]


def test_the_command_leaves_with_a_status(tmp_path: Path) -> None:
    """In a process of its own, with one linter that ends as it is told."""
    script = (
        "import sys; from check import lint, __main__ as m; from check.steps import Step, python\n"
        "lint.everything = lambda: ([Step('x', python('-c', f'raise SystemExit({sys.argv[1]})'))],)"
        "\nm.main(['lint'])"
    )
    for status in (0, 4):
        done = subprocess.run(
            python("-c", script, str(status)), cwd=PROJECT, capture_output=True, text=True,
            env=_environment(tmp_path / str(status)),
        )  # fmt: skip
        assert done.returncode == bool(status), done.stdout + done.stderr
        assert (tmp_path / str(status) / "check" / "lint.json").exists() == (status == 0)


def test_when_the_caller_stops_so_do_the_commands(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    slow = Step("slow", python("-c", "import time; time.sleep(60)"))
    never = Step("never", python("-c", f"open({str(begun)!r}, 'w')"))
    results = side_by_side([slow, never], [Step("quick")])
    assert next(results).step.name == "quick"
    results.close()
    assert not begun.exists()


def prover(project: Path, stamps: Path, ends: dict[str, int]) -> Callable[..., list[str]]:
    """Proves two targets that end as said; returns those that ran."""

    def prove(**given: bool) -> list[str]:
        ran = []

        def runner(target: str) -> int:
            ran.append(target)
            return ends[target]

        proofs = (Proof("long", ("SIZE",)), Proof("longer"))
        failed = prove_all(stamps, project=project, proofs=proofs, runner=runner, **given)
        assert failed == [target for target in ran if ends[target]]
        return ran

    return prove


def test_a_proof_that_passed_is_not_repeated_on_the_same_tree(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends = {"long": 0, "longer": 2}
    prove = prover(project, tmp_path / "stamps", ends)
    assert prove() == ["long", "longer"], "one that fails stops no other"
    assert prove() == ["longer"], "one that failed is run again"
    ends["longer"] = 0
    assert prove() == ["longer"]
    assert prove() == []
    assert prove(again=True) == ["long", "longer"]

    write(project, "untracked.py", "1")
    assert prove() == ["long", "longer"]
    (project / "untracked.py").unlink()
    write(project, "target/ignored.sql", "select 1")
    write(project, "models/direct.sql", "select 2")
    assert prove() == ["long", "longer"]
    assert prove() == []

    monkeypatch.setenv("SIZE", "5")
    assert prove() == ["long"], "a shorter proof is another"


def test_a_proof_repeated_in_vain_has_not_passed(project: Path, tmp_path: Path) -> None:
    ends = {"long": 0, "longer": 0}
    prove = prover(project, tmp_path / "stamps", ends)
    prove()
    ends["long"] = 1
    prove(again=True)
    assert prove() == ["long"]


def test_a_tree_that_changes_under_a_proof_is_not_stamped(project: Path, tmp_path: Path) -> None:
    def runner(target: str) -> int:
        write(project, "models/direct.sql", "select 5")
        return 0

    assert prove_all(tmp_path, project=project, proofs=[Proof("long")], runner=runner) == []
    assert not list(tmp_path.glob("*.json"))


def test_the_fingerprint_knows_names_and_contents() -> None:
    tree = {"a": "1", "b": "2"}
    assert fingerprint(tree) == fingerprint({"b": "2", "a": "1"})
    assert len({fingerprint(t) for t in (tree, {"a": "2", "b": "1"}, {"a": "1"})}) == 3


def test_the_sample_is_built_whole_once_and_then_where_it_changed(tmp_path: Path) -> None:
    build = sample.Sample(tmp_path)
    tree = read_tree(PROJECT)
    first = build.step(tree)
    assert first.note == sample.FULL and first.command[-2:] == sample.EVERYTHING

    build.warehouse.touch()
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "manifest.json").write_text("{}")
    assert first.passed is not None
    first.passed()
    assert json.loads(build.manifest.read_text()) == {}
    assert not build.step(tree).command, "nothing changed"
    assert not build.step(tree | {"README.md": "other"}).command

    model = next(path for path in tree if path.startswith("models/"))
    later = build.step(tree | {model: "other"})
    assert "state:modified+1" in later.command
    assert build.warehouse.exists()
    assert "state:modified+1" in build.step(tree | {model: "another"}).command

    assert build.step(tree).note == sample.FULL, "taken back after a build that did not pass"
    assert not build.warehouse.exists()


def test_other_packages_build_the_sample_anew(tmp_path: Path) -> None:
    build = sample.Sample(tmp_path)
    tree = read_tree(PROJECT)
    for path in (build.warehouse, build.manifest):
        path.parent.mkdir(exist_ok=True)
        path.write_text("{}")
    remember(build.record, tree)
    assert not build.step(tree).command
    assert build.step(tree | {"requirements.lock": "other"}).note == sample.FULL
    assert not build.warehouse.exists()


def test_tests_that_build_are_left_out() -> None:
    assert plugin.is_building("test_any", "test_it", ["tmp_path", "sample"])
    assert not plugin.is_building("test_any", "test_it", ["tmp_path", "rows", "ubi"])
    assert plugin.is_building("test_cli", "test_it", ["ubi"])
    assert plugin.is_building("test_fuzz", "test_it", [])


def test_what_is_left_out_by_name_exists() -> None:
    """A test that was renamed would come back to the quick ones, unseen."""
    for name in plugin.SLOW:
        module, _, test = name.partition("::")
        assert f"def {test}" in (PROJECT / "tests" / "python" / f"{module}.py").read_text()
    for name in filter(lambda name: "." in name, plugin.BUILDING):
        module, _, fixture = name.partition(".")
        assert f"def {fixture}(" in (PROJECT / "tests" / "python" / f"{module}.py").read_text()


def _environment(home: Path) -> dict[str, str]:
    paths = [str(PROJECT / "python"), str(PROJECT / "tests" / "python")]
    return os.environ | {"FLYWHEEL_HOME": str(home), "PYTHONPATH": os.pathsep.join(paths)}
