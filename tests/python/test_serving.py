"""The reference reader of a deployment: verification, assignment, scoring."""

import hashlib
import json
import math
import shutil
from pathlib import Path

import duckdb
import lightgbm
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flywheel.errors import FlywheelError
from flywheel.serving import (
    Arm,
    Deployment,
    Ranker,
    assign,
    assignment_bucket,
    load_deployment,
    normalize_queries,
)

FEATURES = ["f_01", "f_02", "bhv_ctr"]


@pytest.fixture(scope="module")
def booster() -> lightgbm.Booster:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(400, 3))
    x[::3, 2] = np.nan
    y = x[:, 0] - 2.0 * (x[:, 1] > 0) + 3.0 * np.nan_to_num(x[:, 2])
    data = lightgbm.Dataset(x, y, feature_name=FEATURES)
    return lightgbm.train({"verbose": -1, "num_threads": 1, "num_leaves": 7}, data, 30)


def write_manifest(home: Path, booster: lightgbm.Booster, share: float = 0.1) -> Path:
    folder = home / "models" / "v1"
    folder.mkdir(parents=True)
    (folder / "model.txt").write_text(booster.model_to_string())
    (folder / "features.json").write_text(
        json.dumps({"features": FEATURES, "behavior_features": ["bhv_ctr"]})
    )
    behavior = {"query": ["red shoes", "tent"], "doc_id": ["a", "b"], "bhv_ctr": [0.9, 0.4]}
    pq.write_table(pa.table(behavior), folder / "behavior.parquet")
    names = {"model": "model.txt", "features": "features.json", "behavior": "behavior.parquet"}
    files = {
        key: {
            "path": f"models/v1/{name}",
            "sha256": hashlib.sha256((folder / name).read_bytes()).hexdigest(),
        }
        for key, name in names.items()
    }
    manifest = {
        "manifest_version": 1,
        "deployment_id": "d1",
        "salt": "pepper",
        "unit": "user_id",
        "written_at": "2026-01-05T00:00:00Z",
        "champion": {"model_version": "logged", "files": None},
        "canary": {"model_version": "v1", "share": share, "files": files},
    }
    path = home / "deployment.json"
    path.write_text(json.dumps(manifest))
    return path


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.fixture
def manifest(tmp_path: Path, booster: lightgbm.Booster) -> Path:
    return write_manifest(tmp_path, booster)


def canary_of(manifest: Path) -> Ranker:
    deployment = load_deployment(manifest)
    assert deployment.canary is not None
    assert deployment.canary.ranker is not None
    return deployment.canary.ranker


def salted(share: float, salt: str = "pepper") -> Deployment:
    return Deployment(
        "d", salt, Arm("logged", None, 1.0 - share), canary=Arm("v1", None, share=share)
    )


def test_manifest_gives_both_arms(manifest: Path) -> None:
    deployment = load_deployment(manifest)
    assert (deployment.deployment_id, deployment.salt, deployment.unit) == (
        "d1",
        "pepper",
        "user_id",
    )
    assert deployment.champion == Arm("logged", None, 0.9)
    assert deployment.canary is not None
    assert (deployment.canary.model_version, deployment.canary.share) == ("v1", 0.1)
    assert list(deployment.arms) == ["champion", "canary"]


def test_scores_are_the_boosters_on_the_hand_joined_rows(
    manifest: Path, booster: lightgbm.Booster
) -> None:
    table = pa.table(
        {
            "doc_id": ["a", "b", "a", "a"],
            "f_02": [0.1, -0.2, 0.3, 0.0],
            "query": ["  Red   SHOES ", "red shoes", "tent", "red shoes"],
            "f_01": [1.0, 2.0, 3.0, None],
        }
    )
    by_hand = np.array(
        [
            [1.0, 0.1, 0.9],
            [2.0, -0.2, np.nan],
            [3.0, 0.3, np.nan],
            [np.nan, 0.0, 0.9],
        ]
    )
    ranker = canary_of(manifest)
    np.testing.assert_array_equal(ranker.score_table(table), booster.predict(by_hand))
    arrays = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    arrays["f_01"] = np.array([1.0, 2.0, 3.0, np.nan])
    np.testing.assert_array_equal(ranker.score_table(arrays), booster.predict(by_hand))


def test_rank_puts_the_highest_score_first_and_keeps_ties(manifest: Path) -> None:
    ranker = canary_of(manifest)
    features = {"doc_id": ["x", "y", "a", "z"], "f_01": [0.0] * 4, "f_02": [-1.0] * 4}
    # Only `a` has behaviour, and behaviour is worth most; the others tie.
    assert ranker.rank("RED  shoes", features) == ["a", "x", "y", "z"]


def test_empty_table_has_no_scores(manifest: Path) -> None:
    empty = pa.table({name: pa.array([], pa.string()) for name in ("query", "doc_id")})
    for name in ("f_01", "f_02"):
        empty = empty.append_column(name, pa.array([], pa.float64()))
    assert canary_of(manifest).score_table(empty).shape == (0,)


def test_missing_and_textual_columns_are_named(manifest: Path) -> None:
    ranker = canary_of(manifest)
    with pytest.raises(FlywheelError, match="f_02"):
        ranker.score_table({"query": ["a"], "doc_id": ["b"], "f_01": [1.0]})
    with pytest.raises(FlywheelError, match="f_02"):
        ranker.score_table({"query": ["a"], "doc_id": ["b"], "f_01": [1.0], "f_02": ["high"]})


def test_queries_are_normalised_as_in_the_warehouse() -> None:
    raw = [" Red\t shoes\n", "RED  SHOES", "red shoes", None]
    assert normalize_queries(raw).to_pylist() == ["red shoes"] * 3 + [None]
    spaces = [chr(code) for code in range(1, 0x3100) if chr(code).isspace()]
    odd = [f"{space}a{space}{space}b{space}" for space in spaces]
    odd += ["ÉTÉ", "Straße ẞ", "İstanbul", "ΣΑΣ", "\u200ba", "", "  "]
    macro = r"select lower(trim(regexp_replace(q, '\s+', ' ', 'g'))) from (select unnest($q) as q)"
    with duckdb.connect() as connection:
        expected = [row[0] for row in connection.execute(macro, {"q": odd}).fetchall()]
    assert normalize_queries(odd).to_pylist() == expected


@pytest.mark.parametrize("name", ["model.txt", "features.json", "behavior.parquet"])
def test_a_changed_file_is_refused(manifest: Path, name: str) -> None:
    path = manifest.parent / "models" / "v1" / name
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(FlywheelError, match=f"{name}.*SHA-256"):
        load_deployment(manifest)


@pytest.mark.parametrize("name", ["model.txt", "features.json", "behavior.parquet"])
def test_a_missing_file_is_refused(manifest: Path, name: str) -> None:
    (manifest.parent / "models" / "v1" / name).unlink()
    with pytest.raises(FlywheelError, match=name):
        load_deployment(manifest)


@pytest.mark.parametrize("escape", ["../secret.txt", "/etc/hostname", "models/../../secret.txt"])
def test_files_outside_the_folder_are_refused(manifest: Path, escape: str) -> None:
    canary = json.loads(manifest.read_text())["canary"]
    canary["files"]["model"]["path"] = escape
    edit(manifest, canary=canary)
    with pytest.raises(FlywheelError, match="outside"):
        load_deployment(manifest)


def test_a_folder_may_move(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "home"
    shutil.copytree(manifest.parent, elsewhere)
    assert canary_of(elsewhere / "deployment.json").features == tuple(FEATURES)


def test_broken_manifests_get_one_sentence(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(FlywheelError, match="no deployment manifest"):
        load_deployment(tmp_path / "nowhere.json")
    canary = json.loads(manifest.read_text())["canary"]
    edit(manifest, canary={**canary, "share": 1.5})
    with pytest.raises(FlywheelError, match="share"):
        load_deployment(manifest)
    edit(manifest, canary={**canary, "files": None})
    with pytest.raises(FlywheelError, match="names no files"):
        load_deployment(manifest)
    edit(manifest, canary={"share": 0.1})
    with pytest.raises(FlywheelError, match="model_version"):
        load_deployment(manifest)
    edit(manifest, canary=canary, manifest_version=2)
    with pytest.raises(FlywheelError, match="version 1"):
        load_deployment(manifest)
    manifest.write_text("{")
    with pytest.raises(FlywheelError, match="not JSON"):
        load_deployment(manifest)


def test_a_model_that_is_no_model_is_refused(manifest: Path) -> None:
    content = b"\x80\x04not a model"
    (manifest.parent / "models" / "v1" / "model.txt").write_bytes(content)
    canary = json.loads(manifest.read_text())["canary"]
    canary["files"]["model"]["sha256"] = hashlib.sha256(content).hexdigest()
    edit(manifest, canary=canary)
    with pytest.raises(FlywheelError, match="cannot be read"):
        load_deployment(manifest)


def test_features_of_another_model_are_refused(booster: lightgbm.Booster) -> None:
    with pytest.raises(FlywheelError, match="3 features"):
        Ranker("v1", booster, ("f_01", "f_02"))


def test_assignment_equals_the_sql_rule() -> None:
    users = [f"user-{number}" for number in range(2000)] + ["", "ü", "a b"]
    with duckdb.connect() as connection:
        connection.execute("create table users as select unnest(?) as id", [users])
        rows = connection.execute(
            "select id, cast(('0x' || left(md5('pepper-' || id), 8)) as bigint) % 10000 from users"
        ).fetchall()
    assert {user: assignment_bucket("pepper", user) for user in users} == dict(rows)
    expected = ["canary" if bucket < 500 else "champion" for _, bucket in rows]
    assert assign(salted(0.05), [user for user, _ in rows]).tolist() == expected


def test_canary_share_is_right_and_only_grows() -> None:
    users = [f"{number:x}" for number in range(40_000)]
    before = np.zeros(len(users), dtype=bool)
    for share in (0.0, 0.01, 0.05, 0.5, 1.0):
        now = assign(salted(share), users) == "canary"
        assert abs(now.mean() - share) <= 4 * math.sqrt(share * (1 - share) / len(users))
        assert not (before & ~now).any()
        before = now


def test_another_salt_draws_afresh() -> None:
    users = [f"{number:x}" for number in range(40_000)]
    first, second = (assign(salted(0.2, salt), users) == "canary" for salt in ("a", "b"))
    both = (first & second).mean()
    assert abs(both - 0.04) <= 4 * math.sqrt(0.04 * 0.96 / len(users))


def test_without_a_canary_everybody_gets_the_champion() -> None:
    deployment = Deployment("d", "s", Arm("logged", None, 1.0))
    assert assign(deployment, ["a", "b"]).tolist() == ["champion", "champion"]
    assert assign(deployment, []).tolist() == []
