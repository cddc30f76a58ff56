"""The `flywheel` command."""

import json
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import click
import duckdb

from flywheel import variables
from flywheel.errors import FlywheelError
from flywheel.interruption import interruptible
from flywheel.locking import exclusive
from flywheel.settings import Settings, load_settings
from flywheel.terminal import Terminal
from flywheel.warehouse import memory_sentence


class _Group(click.Group):
    """A group whose commands end with one sentence where the user can mend something."""

    def invoke(self, ctx: click.Context) -> Any:
        with interruptible() as interruption:
            try:
                return super().invoke(ctx)
            except (click.exceptions.Exit, click.ClickException):
                raise
            except BaseException as error:
                stopped = interruption.is_set() or isinstance(error, KeyboardInterrupt)
                sentence = _STOPPED if stopped else _sentence(error)
                if sentence is None:
                    raise
                click.echo(f"flywheel: {sentence}", err=True)
                ctx.exit(130 if stopped else 1)


_STOPPED = "stopped; the next run goes on from here."


def _sentence(error: BaseException) -> str | None:
    """What the user can mend, and how; None for an error of ours."""
    if isinstance(error, FlywheelError):
        return str(error)
    if isinstance(error, (duckdb.OutOfMemoryException, MemoryError)):
        return memory_sentence()
    if isinstance(error, OSError):
        return (
            f"{error.strerror or error} ({error.filename or 'no file named'}); "
            "check the disk's space and the folder's permissions, then run again."
        )
    return None


class _Alone(click.Command):
    """A command that changes the warehouse or the registry: one at a time."""

    def invoke(self, ctx: click.Context) -> Any:
        with exclusive(load_settings(), ctx.info_name or "command"):
            return super().invoke(ctx)


def _with_vars(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--var",
        "assignments",
        metavar="NAME=VALUE",
        multiple=True,
        help="A dbt var, as in docs/vars.md; repeatable, and remembered for later commands.",
    )(command)


def _given(settings: Settings, assignments: tuple[str, ...]) -> dict[str, Any]:
    return {
        **variables.remembered(settings),
        **variables.parse(assignments, settings.project),
    }


def _emit(data: Any) -> None:
    click.echo(json.dumps(data, indent=2, default=str))


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="eval-flywheel", prog_name="flywheel")
def cli() -> None:
    """From raw click logs to a debiased ranker and a canary decision, in your warehouse."""


@cli.command()
@click.option("--output", type=click.Path(path_type=Path), help="Folder of the log.")
@click.option("--days", default=28, show_default=True)
@click.option("--start", default="2026-01-05", show_default=True, help="First day.")
@click.option("--searches-per-day", default=1500, show_default=True)
@click.option("--seed", default=7, show_default=True)
@click.option("--format", "log_format", type=click.Choice(["ubi", "flat"]), default="ubi")
def simulate(
    output: Path | None, days: int, start: str, searches_per_day: int, seed: int, log_format: str
) -> None:
    """Write the click log of a simulated shop, with its ranking features."""
    from flywheel.simulator import World, to_flat
    from flywheel.simulator import simulate as write_log

    settings = load_settings()
    folder = output or settings.home / "simulated"
    terminal = Terminal()
    try:
        first = date.fromisoformat(start)
    except ValueError:
        raise FlywheelError(f"--start is {start}; write it as YYYY-MM-DD.") from None
    with terminal.step("Simulate") as step:
        world = World(seed=seed)
        options = {
            "days": days,
            "start_date": first,
            "searches_per_day": searches_per_day,
            "seed": seed,
        }
        if log_format == "flat":
            log = to_flat(world, output=folder / "flat_log.parquet", **options)
        else:
            log = write_log(world, out_dir=folder / "log", **options).folder
        features = world.write_features(folder / "ranking_features.parquet")
        step.result = f"{days} days in {log}"
    terminal.line(f"Turn the flywheel on it:  flywheel run --log {log} --features {features}")


@cli.command(cls=_Alone)
@_with_vars
@click.option("--full-refresh", is_flag=True, help="Rebuild incremental tables from nothing.")
@click.option("--no-tests", is_flag=True, help="Build the tables without running dbt's tests.")
def build(assignments: tuple[str, ...], full_refresh: bool, no_tests: bool) -> None:
    """Build every table from the log, and test it."""
    from flywheel import loop

    settings = load_settings()
    given = _given(settings, assignments)
    loop.build(settings, given, Terminal(), tests=not no_tests, full_refresh=full_refresh)


@cli.command(cls=_Alone)
@_with_vars
@click.option(
    "--gate",
    "gates",
    multiple=True,
    metavar="NAME",
    help="raw, behavior or training; repeatable; all by default.",
)
@click.option("--no-history", is_flag=True, help="Only read the warehouse; keep no results in it.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def validate(
    assignments: tuple[str, ...], gates: tuple[str, ...], no_history: bool, as_json: bool
) -> None:
    """Run the Great Expectations suites on the warehouse, and write the Data Docs."""
    from flywheel.validation import GATES
    from flywheel.validation import validate as run_gates
    from flywheel.validation.show import show_report

    settings = load_settings()
    _given(settings, assignments)
    terminal = Terminal(quiet=as_json)
    with terminal.step("Validate") as step:
        found = run_gates(
            settings,
            gates=gates or GATES,
            on_progress=step.tick,
            raise_on_stop=False,
            keep_history=not no_history,
        )
        step.result = found.sentence()
    if as_json:
        _emit(found.to_dict())
    else:
        show_report(found, terminal)
        terminal.line(f"Data Docs: {found.data_docs}")
    found.raise_for_stops()


@cli.command()
@click.option("--check", is_flag=True, help="Compare YAML, warehouse and fixed tables (default).")
@click.option(
    "--export",
    metavar="[PATH]",
    is_flag=False,
    flag_value="",
    help="Write the public tables as an Open Data Contract Standard file; - is standard output.",
)
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Fail if this pinned contract is no longer kept.",
)
def contract(check: bool, export: str | None, against: Path | None) -> None:
    """Check, export or compare the contract of the public tables."""
    from flywheel.contract import command

    settings, terminal = load_settings(), Terminal(quiet=export == "-")
    project = command.read(settings, terminal)
    if export is not None:
        command.export(project, settings, terminal, export)
    if against is not None:
        command.against(project, terminal, against)
    if check or (export is None and against is None):
        command.check(project, settings, terminal)


@cli.command(cls=_Alone)
@_with_vars
@click.option("--seed", default=1, show_default=True)
def train(assignments: tuple[str, ...], seed: int) -> None:
    """Fit a ranker on the training tables and register it as a challenger."""
    from flywheel import loop, registry

    settings = load_settings()
    _given(settings, assignments)
    registry.repair(settings)
    version = loop.train(settings, Terminal(), seed=seed)
    click.echo(f"{version} is registered as challenger; compare it with `flywheel evaluate`.")


@cli.command(cls=_Alone)
@_with_vars
@click.option("--model", default="challenger", show_default=True, help="Version, or challenger.")
def evaluate(assignments: tuple[str, ...], model: str) -> None:
    """Compare a model with the champion on the held-out searches."""
    from flywheel import loop, registry
    from flywheel.warehouse import connect

    settings = load_settings()
    given = _given(settings, assignments)
    registry.repair(settings)
    terminal = Terminal()
    version = registry.resolve(registry.state(settings), model).version
    evaluation_id, _ = loop.evaluate(settings, given, terminal, version)
    terminal.line()
    with connect(settings) as connection:
        rows = connection.execute(
            """
            select metric, value, ci_low, ci_high, delta, delta_ci_low, delta_ci_high
            from fct_offline_evaluations
            where evaluation_id = ? and model_version = ?
            order by metric
            """,
            [evaluation_id, version],
        ).fetchall()
    terminal.table(
        f"{version} against {registry.champion(settings)}",
        [
            ("metric", "left"),
            ("value", "right"),
            ("interval", "right"),
            ("delta", "right"),
            ("interval of the delta", "right"),
        ],
        [
            (
                name,
                _number(value),
                _interval(low, high),
                _number(delta, signed=True),
                _interval(delta_low, delta_high, signed=True),
            )
            for name, value, low, high, delta, delta_low, delta_high in rows
        ],
    )


@cli.command(cls=_Alone)
@_with_vars
@click.option("--log", metavar="PATH", help="Your log: a file, a glob or a folder.")
@click.option("--features", metavar="PATH", help="Ranking features, Parquet.")
@click.option("--seed", default=1, show_default=True)
@click.option("--no-tests", is_flag=True, help="Leave out dbt's tests.")
@click.option("--no-validation", is_flag=True, help="Leave out Great Expectations.")
def run(
    assignments: tuple[str, ...],
    log: str | None,
    features: str | None,
    seed: int,
    no_tests: bool,
    no_validation: bool,
) -> None:
    """Turn the flywheel once: build, validate, judge the canary, train, evaluate, deploy."""
    from flywheel import inputs, loop
    from flywheel.report import write_report

    settings = load_settings()
    given = variables.remembered(settings)
    if log is not None:
        given = variables.for_log(log, inputs.detect_format(log), features)
    elif features is not None:
        given["ranking_features"] = variables.absolute(features)
    given.update(variables.parse(assignments, settings.project))
    terminal = Terminal()
    outcome = loop.turn(
        settings, given, terminal, seed=seed, tests=not no_tests, gates=not no_validation
    )
    with terminal.step("Report") as step:
        step.result = str(write_report(settings))
    terminal.line(_as_sentence(outcome.reason))


@cli.command()
@click.option("--features", required=True, type=click.Path(path_type=Path), metavar="IN.parquet")
@click.option("--output", required=True, type=click.Path(path_type=Path), metavar="OUT.parquet")
@click.option(
    "--model",
    default="champion",
    show_default=True,
    help="A version, champion, challenger or latest (the last one trained, whatever came of it).",
)
def score(features: Path, output: Path, model: str) -> None:
    """Score a Parquet file of query, doc_id and features."""
    from flywheel import registry
    from flywheel.ranker.scoring import score_file

    settings = load_settings()
    registry.repair(settings)
    terminal = Terminal()
    with terminal.step("Score") as step:
        n_rows = score_file(settings, features, output, model, on_progress=step.tick)
        step.result = f"{n_rows} rows in {output}"


@cli.command(cls=_Alone)
@_with_vars
@click.option("--no-build", is_flag=True, help="Judge on the tables as they are.")
@click.option("--no-tests", is_flag=True, help="Build the tables without running dbt's tests.")
def canary(assignments: tuple[str, ...], no_build: bool, no_tests: bool) -> None:
    """Judge the running canary on the newest log, and promote it or roll it back."""
    from flywheel import loop, registry

    settings = load_settings()
    given = _given(settings, assignments)
    registry.repair(settings)
    if registry.current_deployment(settings) is None:
        raise FlywheelError(
            "No canary is running; `flywheel run` starts one when a challenger beats the champion."
        )
    terminal = Terminal()
    if not no_build:
        loop.build(settings, given, terminal, tests=not no_tests)
    loop.judge(settings, given, terminal)


@cli.command(cls=_Alone)
@click.argument("version", required=False)
@click.option("--reason", default="promoted by hand", show_default=True)
def promote(version: str | None, reason: str) -> None:
    """Make the canary the champion."""
    from flywheel import registry

    settings = load_settings()
    registry.repair(settings)
    ended = registry.promote(settings, version, reason=reason)
    click.echo(f"{ended.challenger_version} is the champion now.")


@cli.command(cls=_Alone)
@click.option("--reason", default="rolled back by hand", show_default=True)
def rollback(reason: str) -> None:
    """Take back the canary or, without one, the champion."""
    from flywheel import registry

    settings = load_settings()
    registry.repair(settings, verify=False)
    after = registry.rollback(settings, reason=reason)
    click.echo(f"Everybody sees {after.champion} now.")


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def status(as_json: bool) -> None:
    """Show champion, canary, models and the last turns."""
    from flywheel.status import read_status, show_status

    settings = load_settings()
    found = read_status(settings)
    if as_json:
        _emit(found)
    else:
        show_status(found, Terminal())


@cli.command()
@click.option("--output", type=click.Path(path_type=Path), help="Another place for the file.")
def report(output: Path | None) -> None:
    """Write the HTML report."""
    from flywheel.report import write_report

    click.echo(str(write_report(load_settings(), output=output)))


@cli.command(cls=_Alone)
@_with_vars
@click.option(
    "--user",
    "ids",
    metavar="ID",
    multiple=True,
    required=True,
    help="A client_id, user_id or session id as logged; repeatable.",
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def forget(assignments: tuple[str, ...], ids: tuple[str, ...], yes: bool) -> None:
    """Remove a person from every table and file of the project, and prove it."""
    from flywheel import forget as forgetting

    settings = load_settings()
    given = _given(settings, assignments)
    if not yes and sys.stdin.isatty():
        click.confirm(f"Remove {', '.join(ids)} for good from {settings.home}?", abort=True)
    terminal = Terminal()
    forgetting.show(forgetting.forget(settings, given, ids, terminal), terminal)


@cli.command(cls=_Alone)
@click.option("--turns", default=3, show_default=True)
@click.option("--seed", default=7, show_default=True, help="Of the simulated world.")
@click.option("--seeds", metavar="N", type=int, help="Check the claims in N worlds instead.")
@click.option("--json", "as_json", is_flag=True, help="For scripts.")
def demo(turns: int, seed: int, seeds: int | None, as_json: bool) -> None:
    """Turn the whole flywheel on simulated users, beside a loop that learns from raw clicks."""
    from flywheel.demo import run_demo
    from flywheel.seeds import check_seeds

    settings = load_settings()
    terminal = Terminal(quiet=as_json)
    if seeds is not None:
        outcome = check_seeds(settings, first=seed, n_seeds=seeds, turns=turns, terminal=terminal)
    else:
        outcome = run_demo(settings, turns=turns, seed=seed, terminal=terminal)
    if as_json:
        _emit(outcome)


def _as_sentence(text: str) -> str:
    """The text with a capital and a full stop; a name such as a model version stays as it is."""
    first = text.split(maxsplit=1)[0]
    capital = text[0].upper() if first.isalpha() else text[0]
    return f"{capital}{text[1:]}".rstrip(".") + "."


def _number(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:+.4f}" if signed else f"{value:.4f}"


def _interval(low: float | None, high: float | None, *, signed: bool = False) -> str:
    if low is None or high is None:
        return "-"
    return f"[{_number(low, signed=signed)}, {_number(high, signed=signed)}]"


def main() -> None:
    """Entry point of the command."""
    cli(prog_name="flywheel")


if __name__ == "__main__":
    sys.exit(main())
