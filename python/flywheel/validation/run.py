"""Run the declared suites on the warehouse and write the Data Docs."""

import atexit
import functools
import importlib
import logging
import os
import secrets
import shutil
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from flywheel.errors import FlywheelError
from flywheel.settings import Settings
from flywheel.validation import history, schemas, words
from flywheel.validation.docs import write_index
from flywheel.validation.report import RuleResult, Skipped, ValidationReport
from flywheel.validation.suites import GATES, SUITES, Rule, Suite, load_suites
from flywheel.warehouse import connect

if TYPE_CHECKING:
    from great_expectations.core import ExpectationValidationResult
    from great_expectations.data_context import EphemeralDataContext

Progress = Callable[[int, int, str], None]

# SUMMARY keeps counts and a few examples; COMPLETE would copy every failing value to Python.
EXAMPLES_KEPT = 5
SHOWN = {"unexpected_rows_expectation": "unexpected_rows_shown"}
DRIFT_QUERY = """
select measure, finding, distance, is_enough_data, is_drift
from {{batch}}
where measure = '{measure}'
"""
RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": EXAMPLES_KEPT}


def validate(
    settings: Settings,
    gates: Iterable[str] = GATES,
    on_progress: Progress | None = None,
    *,
    raise_on_stop: bool = True,
    suites_folder: Path = SUITES,
    keep_history: bool = True,
) -> ValidationReport:
    """Judge the warehouse's tables by the declared suites, and write the Data Docs.

    Every expectation runs as SQL inside the warehouse, which is open read-only all the while. At
    the end the results are added to `flywheel_state.validation_results`, all or none.

    Args:
        settings: names the warehouse; the home folder receives `great_expectations/` (results)
            and `data_docs/` (HTML, index.html first).
        gates: any of raw, behavior, training; each is one checkpoint.
        on_progress: called as (steps done, steps in all, what comes next).
        raise_on_stop: False returns the report even when a gate is shut, or the history lacks it.
        suites_folder: where the declared suites are.
        keep_history: False only reads the warehouse.

    Returns:
        Every expectation's outcome, in the order of the suites' files.

    Raises:
        ValidationFailed: an expectation of severity stop fails (after the Data Docs are written).
        FlywheelError: the warehouse or one of the tables is missing, a suite is malformed, or the
            results cannot be kept because another process holds the warehouse.
    """
    started = time.monotonic()
    run_at = datetime.now(UTC).replace(tzinfo=None)
    gates = tuple(dict.fromkeys(gates))
    schema = schemas.target_schema(settings.project)
    suites = load_suites(gates, suites_folder, schema=schema)
    declared = load_suites(GATES, suites_folder, schema=schema)
    # Load, one step a gate, Data Docs.
    steps = len(gates) + 2

    def tell(done: int, label: str) -> None:
        if on_progress is not None:
            on_progress(done, steps, label)

    results: list[RuleResult] = []
    # The reader stays open all the while, so that no writer changes a table between two gates.
    with connect(settings) as connection:
        _require_tables(connection, settings, suites)
        skipped = _empty_for_a_reason(connection, suites)
        absent = {(skip.gate, skip.table) for skip in skipped}
        tell(0, "load Great Expectations")
        with _quiet():
            from flywheel.validation.dialect import registered

            _hush_exit()
            with registered() as connection_string:
                runner = _Runner(settings, connection_string, declared)
                for position, gate in enumerate(gates):
                    tell(1 + position, f"{gate} gate")
                    judged = [
                        suite
                        for suite in suites
                        if suite.gate == gate and (gate, suite.table) not in absent
                    ]
                    results += runner.run_gate(gate, judged)
                tell(1 + len(gates), "Data Docs")
                data_docs = runner.write_docs(skipped)
    tell(steps, "done")
    report = ValidationReport(
        gates=gates,
        results=tuple(results),
        skipped=tuple(skipped),
        data_docs=data_docs,
        seconds=time.monotonic() - started,
        run_id=f"{run_at:%Y%m%dT%H%M%S.%f}-{secrets.token_hex(2)}",
        run_at=run_at,
    )
    if keep_history:
        try:
            history.append(settings, report, suites)
        except FlywheelError as error:
            report = replace(report, history_error=str(error))
    if raise_on_stop:
        report.raise_for_stops()
    return report


class _Runner:
    """One Great Expectations context whose files live under the home folder.

    Suites, checkpoints and the newest result of each gate are kept as files; the YAML suites are
    the truth, so all but the results are written anew each time.
    """

    def __init__(self, settings: Settings, connection_string: str, suites: list[Suite]) -> None:
        self._state = settings.home / "great_expectations"
        self._validations = self._state / "uncommitted" / "validations"
        self._site = settings.home / "data_docs"
        for derived in ("expectations", "validation_definitions", "checkpoints"):
            shutil.rmtree(self._state / derived, ignore_errors=True)
        self._context = _make_context(self._state, self._site)
        self._source = self._context.data_sources.add_sql(
            "warehouse",
            connection_string=connection_string,
            # A temporary table would be a write, and a copy of the rows.
            create_temp_table=False,
            kwargs={"connect_args": {"database": str(settings.database)}},
        )
        self._declared = suites
        self._suites = {
            suite.name: self._context.suites.add(_make_suite(suite)) for suite in suites
        }

    def run_gate(self, gate: str, suites: list[Suite]) -> list[RuleResult]:
        """Run one gate's suites as a checkpoint."""
        import great_expectations as gx

        shutil.rmtree(self._validations / gate, ignore_errors=True)
        if not suites:
            return []
        definitions = []
        for suite in suites:
            asset = self._source.add_table_asset(
                suite.table, table_name=suite.table, schema_name=suite.schema
            )
            definition = gx.ValidationDefinition(
                name=suite.name,
                data=asset.add_batch_definition_whole_table("all rows"),
                suite=self._suites[suite.name],
            )
            definitions.append(self._context.validation_definitions.add(definition))
        checkpoint = gx.Checkpoint(
            name=gate, validation_definitions=definitions, result_format=RESULT_FORMAT
        )
        run = gx.RunIdentifier(run_name=gate, run_time=datetime.now(UTC))
        outcome = self._context.checkpoints.add(checkpoint).run(run_id=run)
        outcomes = {result.suite_name: result.results for result in outcome.run_results.values()}
        return [judged for suite in suites for judged in _judge(suite, outcomes[suite.name])]

    def write_docs(self, skipped: list[Skipped]) -> Path:
        """Build the Data Docs of the newest results of all gates."""
        shutil.rmtree(self._site, ignore_errors=True)
        self._context.build_data_docs(build_index=False)
        return write_index(self._site, self._validations, self._declared, skipped)


def _make_context(state: Path, site: Path) -> "EphemeralDataContext":
    import great_expectations as gx
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        FilesystemStoreBackendDefaults,
        ProgressBarsConfig,
    )

    state.mkdir(parents=True, exist_ok=True)
    view = {"module_name": "flywheel.validation.view", "class_name": "EscapedPageView"}
    config = DataContextConfig(
        store_backend_defaults=FilesystemStoreBackendDefaults(root_directory=_literal(state)),
        data_docs_sites={
            "data_docs": {
                "class_name": "SiteBuilder",
                "show_how_to_buttons": False,
                "store_backend": {
                    "class_name": "TupleFilesystemStoreBackend",
                    "base_directory": _literal(site),
                },
                "site_section_builders": {
                    "expectations": {"view": view},
                    "validations": {"view": view},
                    "profiling": "None",
                },
            }
        },
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
        analytics_enabled=False,
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _literal(path: Path) -> str:
    """A path as Great Expectations' configuration wants it: `$HOME` in a name is no variable."""
    return str(path).replace("$", r"\$")


def _make_suite(suite: Suite) -> Any:
    import great_expectations as gx
    from great_expectations.expectations.expectation_configuration import (
        ExpectationConfiguration,
    )

    # Defining the class registers it.
    importlib.import_module("flywheel.validation.rows")
    expectations = []
    for position, rule in enumerate(suite.rules):
        configuration = ExpectationConfiguration(
            type=SHOWN.get(rule.type, rule.type),
            kwargs=_kwargs(suite, rule),
            meta={"position": position, "reason": rule.reason},
            description=f"{_headline(rule)}. {rule.reason}.",
            severity="critical" if rule.severity == "stop" else "warning",
        )
        try:
            expectations.append(configuration.to_domain_obj())
        except Exception as error:
            raise FlywheelError(
                f"{suite.path}: expectation {rule.type} is not valid "
                f"({words.first_line(error)}); mend its type or kwargs."
            ) from error
    return gx.ExpectationSuite(
        name=suite.name, expectations=expectations, meta={"description": suite.description}
    )


def _kwargs(suite: Suite, rule: Rule) -> dict[str, Any]:
    if rule.type != "expect_no_drift":
        return dict(rule.kwargs)
    measure = str(rule.kwargs.get("measure"))
    if set(rule.kwargs) != {"measure"} or not measure.isidentifier():
        raise FlywheelError(
            f"{suite.path}: expectation {rule.type} takes one argument, measure, a name of "
            "int_drift_measures; mend its kwargs."
        )
    return {"unexpected_rows_query": DRIFT_QUERY.format(measure=measure)}


def _headline(rule: Rule) -> str:
    subject = ", ".join(rule.columns) or "table"
    return f"{subject}: {words.expected(rule.type, rule.kwargs)} ({rule.severity})"


def _judge(suite: Suite, outcomes: "Iterable[ExpectationValidationResult]") -> Iterator[RuleResult]:
    by_position = {outcome.expectation_config.meta["position"]: outcome for outcome in outcomes}
    for position, rule in enumerate(suite.rules):
        outcome = by_position[position]
        yield RuleResult(
            gate=suite.gate,
            table=suite.table,
            columns=rule.columns,
            expectation=rule.type,
            expected=words.expected(rule.type, rule.kwargs),
            observed=words.observed(outcome.result),
            severity=rule.severity,
            success=bool(outcome.success),
            reason=rule.reason,
            error=words.error(outcome.exception_info),
            expectation_id=rule.id,
            observed_value=words.observed_value(outcome.result),
            unexpected_count=words.unexpected_count(outcome.result),
            summary=words.observed(outcome.result, examples=False),
            is_enough_data=(outcome.result.get("details") or {}).get("is_enough_data", True),
        )


def _require_tables(
    connection: duckdb.DuckDBPyConnection, settings: Settings, suites: Iterable[Suite]
) -> None:
    present = set(
        connection.execute(
            "select table_schema, table_name from information_schema.tables"
        ).fetchall()
    )
    for suite in suites:
        if (suite.schema, suite.table) not in present:
            raise FlywheelError(
                f"The {suite.gate} gate needs the table {suite.schema}.{suite.table}, which is "
                f"not in {settings.database}; run `flywheel build` first."
            )


def _empty_for_a_reason(
    connection: duckdb.DuckDBPyConnection, suites: Iterable[Suite]
) -> list[Skipped]:
    skipped = []
    for suite in suites:
        if suite.empty_when is None:
            continue
        table = f"{schemas.quote(suite.schema)}.{schemas.quote(suite.table)}"
        if connection.execute(f"select 1 from {table} limit 1").fetchone() is not None:
            continue
        try:
            row = connection.execute(suite.empty_when).fetchone()
        except duckdb.Error as error:
            raise FlywheelError(
                f"{suite.path}: may_be_empty cannot be evaluated ({words.first_line(error)}); "
                "run `flywheel build` first, or mend the query."
            ) from error
        if row is not None and row[0]:
            skipped.append(Skipped(suite.gate, suite.table, suite.empty_reason or ""))
    return skipped


@functools.cache
def _hush_exit() -> None:
    """Keep the interpreter's last words off the terminal.

    Great Expectations can keep SQLAlchemy's dialects alive past the end of the interpreter (after
    an interrupt, say), and DuckDB's binding then prints a page of "nanobind: leaked ..." to
    standard error. Nothing is lost: every connection is closed by then.
    """

    def hush() -> None:
        sys.stderr.flush()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)

    atexit.register(hush)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Great Expectations' log lines and warnings off the terminal."""
    names = ("great_expectations", "py.warnings")
    loggers = {name: logging.getLogger(name) for name in names}
    levels = {name: logger.level for name, logger in loggers.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers.values():
            logger.setLevel(logging.CRITICAL)
        try:
            yield
        finally:
            for name, logger in loggers.items():
                logger.setLevel(levels[name])
            # Importing Great Expectations routes every later warning of the process to a log.
            logging.captureWarnings(False)
