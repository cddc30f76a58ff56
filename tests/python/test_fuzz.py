"""Mutated raw files: each ends in tables that add up, or in one clear sentence.

`FLYWHEEL_FUZZ_FILES` sets how many mutants there are (`make fuzz`: 1,000), `FLYWHEEL_FUZZ_SEED`
where their seeds begin. Files of one format are read together, so that a run of dbt is paid once
for many; every file's rows are counted apart.
"""

import os
import re
import shutil
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pytest

import fuzzing
from conftest import BEHAVIOR, PROJECT
from flywheel import inputs
from flywheel.dbt import run_dbt
from flywheel.errors import FlywheelError
from flywheel.settings import Settings
from fuzzing import Mutant

N_FILES = int(os.environ.get("FLYWHEEL_FUZZ_FILES", "48"))
FIRST_SEED = int(os.environ.get("FLYWHEEL_FUZZ_SEED", "0"))
THOROUGH = N_FILES > 100
"""Then the whole project is built on the files, not only the behaviour marts."""
FILES_IN_A_RUN = 60 if THOROUGH else 24


@dataclass
class Outcome:
    """What became of some mutants."""

    sentences: dict[int, str] = field(default_factory=dict)
    built: list[Mutant] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def sentence_of(error: FlywheelError, names: Sequence[str]) -> tuple[str, str | None]:
    """The error's text, and the one of the files that it names; none where it is no sentence."""
    text = str(error)
    named = [name for name in names if re.search(rf"{re.escape(name)}(?![\w.])", text)]
    # A log of which nothing can be used is shown by rows of it, a line each.
    first, *shown = text.split("\n")
    is_sentence = first.isprintable() and first.endswith((".", ":")) and len(text) < 3000
    is_sentence &= all(re.match(r"  row \d+ of ", row) for row in shown)
    is_sentence &= not any(
        unicodedata.category(letter) in ("Cc", "Cf") for letter in "".join(shown)
    )
    is_sentence &= first.endswith(":") == bool(shown)
    return text, named[0] if named and is_sentence else None


class Fuzz:
    """Puts mutants through the input check and the models, in this process."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(PROJECT, folder / "home", folder / "home" / "warehouse.duckdb")
        # One place for all batches of a format: dbt parses the project anew when a var changes.
        self.folder = folder / 'log\'s "folder"'
        self.outcome = Outcome()
        run_dbt(self.settings, "seed", select=["bot_user_agent_patterns"])
        self.seeded = shutil.copy(self.settings.database, folder / "seeded.duckdb")

    def run(self, mutants: Sequence[Mutant]) -> Outcome:
        """Put every mutant through."""
        for log_format in ("ubi", "flat"):
            some = [m for m in mutants if m.log_format == log_format]
            accepted = [m for m in some if self._passes_the_check(m)]
            for at in range(0, len(accepted), FILES_IN_A_RUN):
                self._build(accepted[at : at + FILES_IN_A_RUN])
        return self.outcome

    def _variables(self, log_format: str, path: Path) -> dict[str, str]:
        names = ("raw_queries", "raw_events") if log_format == "ubi" else ("flat_log",)
        return {
            "log_format": log_format,
            "ranking_features": "",
            "latest_plausible_at": "2027-01-01",
            **{name: str(path) for name in names},
        }

    def _passes_the_check(self, mutant: Mutant) -> bool:
        self._empty_folder()
        path = self.folder / mutant.name
        path.write_bytes(mutant.data)
        try:
            inputs.check(self._variables(mutant.log_format, path))
        except FlywheelError as error:
            text, named = sentence_of(error, [mutant.name])
            self.outcome.sentences[mutant.seed] = text
            if named is None:
                self.outcome.wrong.append(
                    f"{mutant}: no sentence that names the file: {text[:500]}"
                )
            return False
        return True

    def _build(self, mutants: Sequence[Mutant]) -> None:
        """Build the tables from these files; one that stops the build is left out of the next."""
        if not mutants:
            return
        self._empty_folder()
        for mutant in mutants:
            (self.folder / mutant.name).write_bytes(mutant.data)
        Path(f"{self.settings.database}.wal").unlink(missing_ok=True)
        shutil.copy(self.seeded, self.settings.database)
        select = () if THOROUGH else (BEHAVIOR,)
        variables = self._variables(mutants[0].log_format, self.folder)
        try:
            run_dbt(self.settings, "run", variables=variables, select=select)
        except FlywheelError as error:
            text, named = sentence_of(error, [m.name for m in mutants])
            if named is not None:
                culprits = [m for m in mutants if m.name == named]
                self.outcome.sentences[culprits[0].seed] = text
                if len(mutants) > 1:
                    del self.outcome.sentences[culprits[0].seed]
                    self._build(culprits)  # a file may be blamed for its neighbours
                    if culprits[0].seed not in self.outcome.sentences:
                        self.outcome.wrong.append(f"{culprits[0]} is sound, but blamed: {text}")
            elif len(mutants) > 1:
                half = len(mutants) // 2
                self._build(mutants[:half])
                self._build(mutants[half:])
                return
            else:
                culprits = list(mutants)
                self.outcome.wrong.append(
                    f"{mutants[0]}: no sentence that names the file: {text[:500]}"
                )
            self._build([m for m in mutants if m not in culprits])
            return
        self._reconcile(mutants)

    def _reconcile(self, mutants: Sequence[Mutant]) -> None:
        with duckdb.connect(str(self.settings.database), read_only=True) as connection:
            told = {
                Path(file).name: counts
                for file, *counts in connection.execute(
                    "select source_file, sum(n_rows)::int, sum(n_used)::int, sum(n_merged)::int, "
                    "sum(n_quarantined)::int from fct_input_reconciliation group by source_file"
                ).fetchall()
            }
            kept = {
                Path(file).name: n
                for file, n in connection.execute(
                    "select source_file, count(*)::int from fct_quarantined_rows group by 1"
                ).fetchall()
            }
        for mutant in mutants:
            self.outcome.built.append(mutant)
            expected = fuzzing.count_rows(mutant.name, mutant.data)
            n_rows, n_used, n_merged, n_quarantined = told.get(mutant.name, (0, 0, 0, 0))
            found = n_used + n_merged + kept.get(mutant.name, 0)
            if not expected == n_rows == found == n_used + n_merged + n_quarantined:
                self.outcome.wrong.append(
                    f"{mutant}: {expected} rows in the file, {n_rows} told: {n_used} used, "
                    f"{n_merged} merged, {n_quarantined} quarantined "
                    f"({kept.get(mutant.name, 0)} rows of quarantine)"
                )

    def _empty_folder(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    mutants = [fuzzing.mutant(seed) for seed in range(FIRST_SEED, FIRST_SEED + N_FILES)]
    return Fuzz(tmp_path_factory.mktemp("fuzz")).run(mutants)


@pytest.mark.slow
def test_every_file_ends_in_tables_that_add_up_or_in_a_sentence(outcome: Outcome) -> None:
    assert not outcome.wrong, "\n".join(outcome.wrong)
    assert len(outcome.built) + len(outcome.sentences) == N_FILES


@pytest.mark.slow
def test_the_mutants_are_of_all_kinds(outcome: Outcome) -> None:
    """Otherwise the test above could pass on a thousand empty files."""
    kinds = Counter(re.sub(r"^m\d+", "", mutant.name) for mutant in outcome.built)
    assert {mutant.log_format for mutant in outcome.built} == {"ubi", "flat"}
    assert len(outcome.built) > N_FILES / 2
    assert len(outcome.sentences) > N_FILES / 20
    if THOROUGH:
        seeds = range(FIRST_SEED, FIRST_SEED + N_FILES)
        names = {name for seed in seeds for name in fuzzing.mutant(seed).mutations}
        every = {
            *fuzzing.DOCUMENT_MUTATIONS,
            *fuzzing.LINE_MUTATIONS,
            *fuzzing.CSV_MUTATIONS,
            *fuzzing.BYTE_MUTATIONS,
        }
        assert every <= names
        assert set(kinds) >= {".csv", ".csv.gz", ".csv.zst", ".parquet", ".ndjson.gz"}
