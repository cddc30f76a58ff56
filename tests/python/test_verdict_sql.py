"""The verdict on a challenger, in worlds whose truth is known."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from verdict_worlds import (
    ALPHA,
    KINDS,
    VerdictWorld,
    empty_warehouse,
    fill,
    judged,
    verdict,
    verdict_world,
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_verdict_is_never_better_than_the_truth(kind: str) -> None:
    world = verdict_world(kind, seed=1)
    row = verdict(world)
    assert row["relative_delta_ci_low"] <= world.truth <= row["relative_delta_ci_high"]
    expected = {"blend": ("better",), "noisy_copy": ("not_better", "unsupported")}
    assert row["verdict"] in expected.get(kind, ("unsupported",))
    # Nothing says how the seen documents are ordered, so nothing unsupported may go to users.
    assert row["is_deployable"] == (row["verdict"] == "better")


@pytest.mark.slow
@pytest.mark.parametrize("champion", ["v1", "logged"])
def test_sixty_worlds(champion: str) -> None:
    rows = [
        verdict(world, champion=champion) | {"truth": world.truth, "kind": kind}
        for kind in KINDS
        for world in (verdict_world(kind, seed) for seed in range(12))
    ]
    found = {kind: [r["verdict"] for r in rows if r["kind"] == kind] for kind in KINDS}
    for kind in ("independent", "noisy_copy", "from_below", "junk"):
        assert "better" not in found[kind]
    assert "not_better" not in found["blend"] + found["from_below"]
    assert found["blend"].count("better") >= 8
    covered = [
        r["relative_delta_ci_low"] <= r["truth"] <= r["relative_delta_ci_high"] for r in rows
    ]
    assert np.mean(covered) >= 0.9
    points, truths = ([r[name] for r in rows] for name in ("relative_delta", "truth"))
    assert np.corrcoef(points, truths)[0, 1] >= 0.85


def test_within_the_page_the_estimate_is_exact() -> None:
    """Where all candidates are shown nothing is assumed: clicks over exposure, by hand.

    One query of two documents, ten searches: d0 first and clicked 4 times, d1 second (propensity
    0.5) and clicked twice. So both draw 0.4 clicks when looked at, and swapping them changes
    nothing; then with d1 clicked 4 times the swap gains: 0.8 + 0.2 against 0.4 + 0.4.
    """
    for d1_clicks, truth in ((2, 0.0), (4, 0.25)):
        connection = empty_warehouse()
        clicked = np.array([[n < 4, n < d1_clicks] for n in range(10)])
        world = VerdictWorld(
            kind="swap",
            champion=np.array([[2.0, 1.0]]),
            challenger=np.array([[1.0, 2.0]]),
            query=np.zeros(10, dtype=np.int64),
            user=np.arange(10),
            shown=np.tile([0, 1], (10, 1)),
            clicked=clicked,
            truth=truth,
        )
        fill(connection, world, alpha=1.0)
        row = judged(connection)
        assert row["relative_delta"] == pytest.approx(truth, abs=1e-9)
        assert row["delta_if_unseen_bad"] == row["delta_if_unseen_good"] == row["relative_delta"]
        assert row["support"] == 1
        # 10 and 5 looks change hands: 5 of either's 15 on the other document.
        assert row["logged_overlap"] == pytest.approx(10 / 15)
        assert row["champion_clicks_per_search"] == pytest.approx((4 + d1_clicks) / 10)
        assert (row["n_searches"], row["n_users"], row["n_clicks"]) == (10, 10, 4 + d1_clicks)


def test_users_err_together() -> None:
    """The standard error is that of users: all searches by one in ten are worth a tenth."""
    world = verdict_world("blend", seed=5, n_searches=2000)
    alone = dataclasses.replace(world, user=np.arange(len(world.user)))
    shared = dataclasses.replace(world, user=np.arange(len(world.user)) % 50)
    apart, together = verdict(alone), verdict(shared)
    assert together["n_users"] == 50
    assert apart["relative_delta"] == together["relative_delta"]
    # Independent users of one search each: the sum over fifty groups has the same variance in
    # expectation, known from 50 of them to 1 / sqrt(2 * 50).
    ratio = together["user_std_error"] / apart["user_std_error"]
    assert abs(ratio - 1) < 4 / np.sqrt(2 * 50)
    doubled = dataclasses.replace(
        world,
        query=np.tile(world.query, 2),
        user=np.tile(world.user, 2),
        shown=np.tile(world.shown, (2, 1)),
        clicked=np.tile(world.clicked, (2, 1)),
    )
    assert verdict(doubled)["user_std_error"] == pytest.approx(
        verdict(world)["user_std_error"], rel=1e-3
    )


def test_uncertain_propensities_widen_the_interval() -> None:
    world = verdict_world("blend", seed=4, n_searches=1000)
    sure, unsure = verdict(world), verdict(world, alpha_std_error=0.2)
    assert sure["propensity_std_error"] == 0
    steep = verdict(world, alpha=ALPHA + 0.2)["relative_delta"]
    flat = verdict(world, alpha=ALPHA - 0.2)["relative_delta"]
    assert unsure["propensity_std_error"] == pytest.approx(abs(steep - flat) / 2, rel=1e-6)
    assert unsure["relative_delta"] == sure["relative_delta"]
    assert unsure["relative_delta_ci_low"] < sure["relative_delta_ci_low"]


def test_a_candidate_without_a_score_leaves_its_query_out() -> None:
    world = verdict_world("blend", seed=6, n_searches=1500)
    connection = empty_warehouse()
    fill(connection, world)
    connection.execute(
        "delete from candidate_scores where query = 'q0' and doc_id = 'd3' and model_version = 'v2'"
    )
    row = judged(connection)
    assert row["n_searches"] == int((world.query != 0).sum()) < len(world.query)


def test_what_cannot_be_compared_has_no_verdict() -> None:
    world = verdict_world("blend", seed=6, n_searches=200)
    connection = empty_warehouse()
    fill(connection, world)
    connection.execute("delete from candidate_scores")
    row = judged(connection)
    assert (row["verdict"], row["is_deployable"], row["n_searches"]) == (None, False, 0)
    assert row["reason"].startswith("The evaluation window has no search")


@pytest.mark.parametrize(
    ("seen_high", "variables", "is_deployable", "said"),
    [
        (0.0, {}, True, "does not order worse, so users decide"),
        (-0.001, {}, False, "what was shown it orders worse"),
        (0.5, {"canary_on_unsupported": False}, False, "was never shown."),
        (0.5, {"min_evaluation_users": 5000}, False, "Too little to judge"),
    ],
)
def test_users_decide_what_the_log_cannot(
    seen_high: float, variables: dict[str, Any], is_deployable: bool, said: str
) -> None:
    world = verdict_world("independent", seed=1, n_searches=1500)
    connection = empty_warehouse()
    fill(connection, world)
    connection.execute(
        "insert into fct_offline_evaluations values ('e1', 'm', 0, -1, ?, true)", [seen_high]
    )
    row = judged(connection, **variables)
    assert (row["verdict"], row["is_deployable"]) == ("unsupported", is_deployable)
    assert said in row["reason"]
