"""The benchmark of what models learn: its worlds are what they say."""

import gzip
from pathlib import Path

import numpy as np
import pytest

import bench_ranking
import ranking_worlds
from bench.built_from import built_from, without_comments
from flywheel.errors import FlywheelError
from flywheel.settings import load_settings
from ranking_worlds import Graded, Setting, made_graded, read_graded, simulate, true_ndcg


def test_ndcg_by_hand() -> None:
    graded = Graded(np.zeros((5, 1)), np.array([0, 2, 1, 0, 0]), np.array([3, 2]))
    # Gains 0, 3, 1; shown first to last 3, 0, 1: (3 + 1/2) / (3 + 1/log2(3)). No good one in the
    # second query.
    assert true_ndcg(np.array([2.0, 3.0, 1.0, 1.0, 2.0]), graded) == pytest.approx(
        3.5 / (3 + 1 / np.log2(3))
    )


def test_a_dataset_in_libsvm_form(tmp_path: Path) -> None:
    (tmp_path / "a.test").write_text("1 0:0.5 2:3\n0 1:2\n")
    (tmp_path / "a.test.query").write_text("2\n")
    with gzip.open(tmp_path / "a.train.gz", "wt") as file:
        file.write("2 3:1\n")
    (tmp_path / "a.train.query").write_text("1\n")
    graded = read_graded(tmp_path)
    assert graded.matrix.tolist() == [[0.5, 0, 3, 0], [0, 2, 0, 0], [0, 0, 0, 1]]
    assert graded.grades.tolist() == [1, 0, 2]
    assert graded.sizes.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("text", "counts", "said"),
    [
        ("1 0:0.5\n", "2\n", "counts 2 documents and .* holds 1"),
        ("one 0:0.5\n", "1\n", "is not a ranking dataset"),
        ("1 0:half\n", "1\n", "is not a ranking dataset"),
        (None, "1\n", "is not a ranking dataset"),
        (None, None, "holds no NAME.query"),
    ],
)
def test_what_is_no_dataset_is_one_sentence(
    tmp_path: Path, text: str | None, counts: str | None, said: str
) -> None:
    for name, content in (("a", text), ("a.query", counts)):
        if content is not None:
            (tmp_path / name).write_text(content)
    with pytest.raises(FlywheelError, match=said) as error:
        read_graded(tmp_path)
    assert "\n" not in str(error.value)


def test_users_click_by_rank_and_grade() -> None:
    graded = Graded(np.zeros((4, 1)), np.array([0, 4, 2, 0]), np.array([4]))
    log = simulate(graded, np.array([4.0, 3.0, 2.0, 1.0]), Setting(20_000, 1), seed=5)
    assert (log.doc[:, :4] == np.arange(4)).all()
    assert not log.clicked[:, 4:].any()
    # (1 / rank) * (0.1 + 0.9 * (2^grade - 1) / 15), by hand.
    expected = np.array([0.1, 1 / 2, (0.1 + 0.9 * 3 / 15) / 3, 0.1 / 4])
    error = np.sqrt(expected * (1 - expected) / 20_000)
    assert (np.abs(log.clicked[:, :4].mean(axis=0) - expected) < 4 * error).all()


def test_held_out_queries_are_not_asked() -> None:
    graded = made_graded(queries=30)
    asked, held_out = graded.split(0.2, seed=1)
    assert [len(asked.sizes), len(held_out.sizes)] == [24, 6]
    rows = {row.tobytes() for row in asked.matrix} | {row.tobytes() for row in held_out.matrix}
    assert len(rows) == len(graded.grades)


@pytest.mark.slow
def test_a_small_cell_is_measured() -> None:
    world = (Setting(900, 0.05, mixing=0.5), 0, lambda: made_graded(queries=40, features=6))
    others, ours = bench_ranking.others_cell(*world), bench_ranking.models_cell(*world)
    assert tuple(others) == bench_ranking.COLUMNS["others"]
    assert tuple(ours) == bench_ranking.COLUMNS["models"]
    found = others | ours
    # Eight queries are held out, so no more than the obvious: who knows the grades does best.
    assert 0.4 < found["production"] < found["grades"] <= 1
    assert 0.4 < found["ours"] < found["grades"]
    cells = {
        f"{part}/4000-weak-mixed/{seed}": result
        for part, result in (("others", others), ("models", ours))
        for seed in bench_ranking.SEEDS[:2]
    }
    text = bench_ranking.markdown(cells, 5)
    gain = found["ours"] - found["position"]
    assert text.splitlines()[2].startswith("| 4,000 | ")
    assert text.splitlines()[2].endswith(f"| {gain:+.3f} ± 0.000 |")
    assert "Measured: 4 of 5 cells." in text


def test_cells_rest_on_the_sql_their_models_are_built_from() -> None:
    text = built_from(load_settings(), bench_ranking.NEEDED)
    lines = {line.partition(":")[0]: line for line in text.splitlines()}
    # Read by way of three other models, called by way of another macro, and read by such a macro.
    assert "model.eval_flywheel.base_flat__rows" in lines
    assert "macro.eval_flywheel.default__hash_fraction" in lines
    assert "ips_clip = " in text
    assert "seed.eval_flywheel.bot_user_agent_patterns" in lines
    assert not [name for name in lines if "canary" in name]
    assert without_comments("{# why #}\nselect 1 -- one\n,  2") == "select 1 , 2"


def test_what_a_model_reads_of_a_new_query() -> None:
    graded = Graded(np.array([[1.0, 2.0]]), np.array([0]), np.array([1]))
    matrix = ranking_worlds.matrix_for(graded, ("f_x001", "bhv_click_rate", "f_x000"))
    assert matrix[0, [0, 2]].tolist() == [2, 1]
    assert np.isnan(matrix[0, 1])
