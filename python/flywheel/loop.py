"""One turn of the flywheel: build, validate, judge the canary, train, evaluate, deploy.

Everything that is decided is decided by a table; this module asks the tables and acts.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import duckdb

from flywheel import inputs, registry, variables
from flywheel.dbt import run_dbt
from flywheel.settings import Settings
from flywheel.terminal import Terminal
from flywheel.warehouse import connect

# Models that say something new once scores, evaluations or registry rows were written.
AFTER_SCORING = ("path:models/intermediate/evaluation", "path:models/marts/evaluation")
AFTER_REGISTRY = (
    "path:models/intermediate/canary",
    "path:models/intermediate/flywheel",
    "path:models/marts/canary",
    "path:models/marts/flywheel",
    "dim_model_versions",
)


@dataclass(frozen=True)
class Verdict:
    """What the warehouse says of a canary, and what was done about it.

    Attributes:
        deployment_id: the deployment judged.
        decision: promote, roll_back, continue or inconclusive.
        reason: in words, with numbers.
        challenger_version: the model on canary.
    """

    deployment_id: str
    decision: str
    reason: str
    challenger_version: str


@dataclass(frozen=True)
class Turn:
    """Outcome of one turn.

    Attributes:
        status: deployed, kept (the gate stopped the challenger), not_trainable, or waiting (a
            canary needs more users before anything else may start).
        reason: in words.
        verdict: on the canary that was running, if any.
        challenger_version: the model that goes to users, or the one that was only trained.
        champion_version: the champion at the end.
        offline: the row of fct_offline_verdicts, if a model was evaluated.
    """

    status: str
    reason: str
    verdict: Verdict | None
    challenger_version: str | None
    champion_version: str
    offline: dict[str, Any] | None


def build(
    settings: Settings,
    given: Mapping[str, Any],
    terminal: Terminal,
    *,
    tests: bool = True,
    full_refresh: bool = False,
) -> None:
    """Check the input, repair what a killed run left, then build every table.

    Raises:
        FlywheelError: the input cannot be read, or a model or test fails.
    """
    with terminal.step("Check") as step:
        step.result = inputs.check(given, project=settings.project).sentence()
        registry.repair(settings, verify=False)
    with terminal.step("Build") as step:
        summary = run_dbt(
            settings,
            "build",
            variables=given,
            tests=tests,
            full_refresh=full_refresh,
            on_progress=step.tick,
        )
        step.result = summary.sentence()
    for sentence in propensity_sentences(settings):
        terminal.line(f"{'':<10} {sentence}")
    variables.remember(settings, given)
    registry.repair(settings)


def propensity_sentences(settings: Settings) -> list[str]:
    """What the weights of clicks rest on: a sentence a context, of the three with most clicks."""
    with connect(settings) as warehouse:
        rows = warehouse.execute(
            """
            select context, choice_reason, count(*) over () as n_contexts
            from fct_propensity_diagnostics
            where is_active
            order by n_clicks desc, context
            limit 3
            """
        ).fetchall()
    sentences = [
        f"Propensities{f' ({context})' if n > 1 else ''}: {reason}" for context, reason, n in rows
    ]
    if rows and rows[0][2] > len(rows):
        sentences.append(f"Propensities of {rows[0][2] - len(rows)} more contexts: the report.")
    return sentences


def validate(settings: Settings, terminal: Terminal) -> None:
    """Run the Great Expectations suites.

    Raises:
        FlywheelError: an expectation that stops the loop fails.
    """
    from flywheel.validation import validate as run_gates

    with terminal.step("Validate") as step:
        report = run_gates(settings, on_progress=step.tick)
        step.result = report.sentence()


def judge(
    settings: Settings, given: Mapping[str, Any], terminal: Terminal, *, at: datetime | None = None
) -> Verdict | None:
    """Act on the warehouse's decision about the running canary.

    Args:
        settings: names the warehouse.
        given: dbt vars.
        terminal: where to say what happened.
        at: naive UTC moment to record; default: now.

    Returns:
        The verdict, or None where no canary is running.
    """
    running = registry.current_deployment(settings)
    if running is None:
        return None
    started_share = running.canary_share
    with terminal.step("Canary") as step:
        row = _one(
            settings,
            """
            select decision, reason, look, look_date, metric, delta, ci_low, ci_high, e_value,
                srm_p, is_safe_to_ramp
            from main_intermediate.int_deployments__decided
            where deployment_id = ?
            """,
            [running.deployment_id],
        )
        if row is None:
            decision, reason = "continue", "no user of the canary is in the log yet"
        else:
            decision, reason = row["decision"], row["reason"]
        evidence = _plain(row or {})
        if decision == "promote":
            registry.promote(settings, at=at, reason=reason, evidence=evidence)
        elif decision == "roll_back":
            registry.rollback(settings, at=at, reason=reason, evidence=evidence)
        elif decision == "inconclusive":
            registry.end_canary(settings, at=at, reason=reason, evidence=evidence)
        elif row is not None and row["is_safe_to_ramp"]:
            share = float(variables.value(settings, given, "canary_ramp_share"))
            running = registry.ramp(settings, share, at=at, reason=reason, evidence=evidence)
            reason = f"no harm is shown, so {share:.0%} of the users see it from now on; {reason}"
        if decision != "continue" or running.canary_share > started_share:
            run_dbt(settings, "run", variables=given, select=AFTER_REGISTRY)
        step.result = f"{running.challenger_version}: {decision} - {reason}"
    return Verdict(running.deployment_id, decision, reason, running.challenger_version)


def refresh(settings: Settings, terminal: Terminal, *, at: datetime | None = None) -> None:
    """Let the models that users see know what the log knows by now.

    What users did is news whether or not a new model comes of it.
    """
    if registry.champion(settings) == registry.LOGGED_ORDER and not registry.current_deployment(
        settings
    ):
        return
    with terminal.step("Refresh") as step:
        taken = registry.refresh_snapshots(settings, at=at)
        step.result = (
            ", ".join(f"{s.model_version} knows the log to {s.as_of:%Y-%m-%d}" for s in taken)
            or "behavioural features are the newest"
        )


def turn(
    settings: Settings,
    given: Mapping[str, Any],
    terminal: Terminal,
    *,
    seed: int = 1,
    at: datetime | None = None,
    tests: bool = True,
    gates: bool = True,
    rebuild: bool = True,
) -> Turn:
    """Turn the flywheel once, on whatever log the vars name.

    Args:
        settings: names project, home and warehouse.
        given: dbt vars.
        terminal: where to say what happens.
        seed: of the ranker.
        at: naive UTC moment to record (the simulator's clock); default: now.
        tests: run dbt's tests with the build.
        gates: run Great Expectations.
        rebuild: False where the tables are known to be as new as the log.

    Raises:
        FlywheelError: something the user must mend; the champion stays what it was.
    """
    started_at = at or _now()
    if rebuild:
        build(settings, given, terminal, tests=tests)
    if _record_interrupted(settings):
        run_dbt(settings, "run", variables=given, select=AFTER_REGISTRY)
    if gates:
        validate(settings, terminal)
    verdict = judge(settings, given, terminal, at=at)
    refresh(settings, terminal, at=at)
    if verdict is not None and verdict.decision == "continue":
        reason = f"canary {verdict.challenger_version} needs more users: {verdict.reason}"
        return Turn("waiting", reason, verdict, None, registry.champion(settings), None)
    outcome = _train_and_deploy(settings, given, terminal, verdict, seed, started_at)
    with terminal.step("Record") as step:
        run_dbt(settings, "run", variables=given, select=AFTER_REGISTRY)
        step.result = outcome.reason
    return outcome


def _train_and_deploy(
    settings: Settings,
    given: Mapping[str, Any],
    terminal: Terminal,
    verdict: Verdict | None,
    seed: int,
    at: datetime,
) -> Turn:
    from flywheel.ranker.training import NotTrainable

    champion = registry.champion(settings)
    try:
        version = train(settings, terminal, seed=seed, at=at)
    except NotTrainable as error:
        terminal.line(str(error))
        _record(settings, at, None, champion, None, None, "not_trainable", str(error))
        return Turn("not_trainable", str(error), verdict, None, champion, None)
    evaluation_id, offline = evaluate(settings, given, terminal, version, at=at)
    if offline is None or not offline["is_deployable"]:
        why = (
            f"is {offline['verdict']} against {champion}: {offline['reason']}"
            if offline
            else "could not be compared: the evaluation window has no usable click"
        ).removesuffix(".")
        registry.retire(settings, version, at=at, reason=why)
        reason = f"{version} stays on the shelf: it {why}"
        _record(settings, at, version, champion, evaluation_id, None, "kept", reason)
        return Turn("kept", reason, verdict, version, champion, offline)

    share = float(variables.value(settings, given, "canary_share"))
    refitted = refit(settings, terminal, version, at=at)
    deployment = registry.start_canary(
        settings,
        refitted,
        share,
        at=at,
        reason=(
            f"a refit of {version}, which is {offline['verdict']} against {champion}: "
            f"{offline['reason']}"
        ),
        evidence=_plain(offline),
        retires=version,
    )
    reason = _deployed_sentence(refitted, share, deployment.deployment_id)
    _record(
        settings,
        at,
        version,
        champion,
        evaluation_id,
        deployment.deployment_id,
        "deployed",
        reason,
    )
    return Turn("deployed", reason, verdict, refitted, champion, offline)


def train(
    settings: Settings, terminal: Terminal, *, seed: int = 1, at: datetime | None = None
) -> str:
    """Fit a ranker on the materialised training rows and register it as a challenger.

    A challenger left over by a run that was stopped makes room first.

    Returns:
        The model's version.

    Raises:
        NotTrainable: the log does not hold enough to learn from.
    """
    from flywheel.ranker.training import NotTrainable
    from flywheel.ranker.training import train as fit

    with terminal.step("Train") as step:
        model = fit(settings, seed=seed, on_progress=step.tick)
        for left in registry.state(settings).versions.values():
            if left.state == registry.CHALLENGER and model.version not in (
                left.version,
                left.refit_of,
            ):
                registry.retire(settings, left.version, at=at, reason="never judged, superseded")
        registered = registry.register(settings, model, at=at)
        if registered.state != registry.CHALLENGER:
            raise NotTrainable(
                f"The log holds nothing new: {model.version} was trained on it before and is "
                f"{registered.state}."
            )
        step.result = (
            f"{model.version}, {model.best_round} trees of {model.metrics['num_leaves']} leaves, "
            f"{len(model.feature_names)} features"
        )
    return model.version


def refit(
    settings: Settings, terminal: Terminal, version: str, *, at: datetime | None = None
) -> str:
    """Fit a judged model's recipe again on the whole log and register it as a model of its own.

    Returns:
        The new model's version.
    """
    from flywheel.ranker.training import refit as fit_again

    with terminal.step("Refit") as step:
        judged = registry.state(settings).version(version)
        model = fit_again(settings, judged, on_progress=step.tick)
        registry.register(settings, model, at=at, reason=f"refit of {version} up to the present")
        step.result = f"{model.version}, {version} up to the end of the log"
    return model.version


def evaluate(
    settings: Settings,
    given: Mapping[str, Any],
    terminal: Terminal,
    version: str,
    *,
    at: datetime | None = None,
) -> tuple[str, dict[str, Any] | None]:
    """Score the evaluation searches and let the warehouse compare a model with the champion.

    Returns:
        The evaluation's id, and its verdict (None where no search could be compared).
    """
    from flywheel.ranker.scoring import score_evaluation_rows

    champion = registry.champion(settings)
    with terminal.step("Evaluate") as step:
        for name in (version, champion):
            if name != registry.LOGGED_ORDER:
                score_evaluation_rows(settings, name, on_progress=step.tick)
        window = _one(
            settings,
            "select evaluation_start, evaluation_end from main_intermediate.int_windows",
            [],
        )
        evaluation_id = registry.request_evaluation(
            settings,
            version,
            window_start=window["evaluation_start"],
            window_end=window["evaluation_end"],
            at=at,
        )
        run_dbt(settings, "run", variables=given, select=AFTER_SCORING)
        offline = gate_row(settings, evaluation_id)
        step.result = offline_sentence(offline) if offline else "no search could be compared"
    return evaluation_id, offline


def gate_row(settings: Settings, evaluation_id: str) -> dict[str, Any] | None:
    """The evaluation's row in fct_offline_verdicts, or None where nothing could be compared."""
    return _one(
        settings,
        """
        select * from fct_offline_verdicts
        where evaluation_id = ? and model_version <> champion_version and verdict is not null
        """,
        [evaluation_id],
    )


def offline_sentence(row: Mapping[str, Any]) -> str:
    """The verdict in words."""
    return f"{row['verdict']} against {row['champion_version']}: {row['reason']}"


def _record(
    settings: Settings,
    at: datetime,
    challenger: str | None,
    champion: str,
    evaluation_id: str | None,
    deployment_id: str | None,
    status: str,
    reason: str,
) -> None:
    with connect(settings, read_only=False) as connection:
        (number,) = connection.execute(
            "select coalesce(max(iteration), 0) + 1 from flywheel_state.iterations"
        ).fetchone()
        # The model's own: a turn may be written down after the tables were built again.
        fingerprint = connection.execute(
            "select fingerprint from flywheel_state.model_versions where model_version = ?",
            [challenger],
        ).fetchone()
        if fingerprint is None:
            fingerprint = connection.execute(
                "select fingerprint from fct_training_manifest"
            ).fetchone()
        connection.execute(
            "insert into flywheel_state.iterations values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                f"i{number:04d}",
                number,
                at,
                at,
                challenger,
                champion,
                evaluation_id,
                deployment_id,
                status,
                reason,
                fingerprint[0] if fingerprint else None,
            ],
        )


def _record_interrupted(settings: Settings) -> int:
    """Write down the turns that were stopped after their canary had started.

    Returns:
        How many there were.
    """
    with connect(settings) as connection:
        untold = connection.execute(
            """
            select started_at, challenger_version, deployed_version, champion_version,
                evaluation_id, deployment_id, canary_share
            from main_intermediate.int_turns__interrupted
            order by deployment_id
            """
        ).fetchall()
    for at, judged, deployed, champion, evaluation_id, deployment_id, share in untold:
        reason = _deployed_sentence(deployed, share, deployment_id)
        _record(settings, at, judged, champion, evaluation_id, deployment_id, "deployed", reason)
    return len(untold)


def _deployed_sentence(version: str, share: float, deployment_id: str) -> str:
    return f"{version} goes to {share:.0%} of the users as {deployment_id}"


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(dict(row), default=str))


def _one(settings: Settings, query: str, parameters: list[Any]) -> dict[str, Any] | None:
    with connect(settings) as connection:
        try:
            cursor = connection.execute(query, parameters)
        except duckdb.CatalogException:
            return None
        names = [column[0] for column in cursor.description]
        row = cursor.fetchone()
    return dict(zip(names, row, strict=True)) if row else None


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)
