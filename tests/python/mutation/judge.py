"""Who notices a mutant: dbt's unit tests of the model, then the data tests on the changed table."""

import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from mutation.artifacts import Built, DataTest, Model
from mutation.mutants import Mutant, apply, normal

PATIENCE = 20.0
"""Seconds after which a mutant that does not end is stopped; a build that hangs is noticed."""

UNIT, DATA, SQL, SURVIVED, INVALID = "unit", "data", "pytest", "survived", "invalid"


@dataclass(frozen=True)
class Verdict:
    """Who noticed the mutant (UNIT, DATA, SQL), or that nobody did, or that it is no valid SQL."""

    mutant: Mutant
    caught_by: str
    test: str = ""


class Judge:
    """Runs mutants in a copy of a built warehouse; each is rolled back.

    Args:
        built: the build whose models are changed.
        folder: where the copy is put.
    """

    def __init__(self, built: Built, folder: Path) -> None:
        self._built = built
        # dbt's SQL names the catalog, and that is the name of the file.
        copy = shutil.copy(built.warehouse, folder / built.warehouse.name)
        self._connection = duckdb.connect(str(copy), config={"threads": 1})
        self._connection.execute("set TimeZone = 'UTC'; set memory_limit = '1GB'")
        self._before: dict[str, tuple[int, ...]] = {}

    def judge(self, mutant: Mutant) -> Verdict:
        """Who notices this mutant?"""
        model = self._built.model(mutant.model)
        sql = apply(mutant, model.sql, model.sql)
        assert sql is not None
        if not self._is_valid(sql):
            return Verdict(mutant, INVALID)
        for test in self._built.unit_tests[model.unique_id]:
            text = apply(mutant, test.model_sql, model.sql)
            if text is not None and not self._expected(test.around(text)):
                return Verdict(mutant, UNIT, test.name)
        noticed = self._data_test_that_fails(model, sql)
        return Verdict(mutant, DATA, noticed) if noticed else Verdict(mutant, SURVIVED)

    def check(self, model: Model) -> list[str]:
        """The tests that fail on the unchanged model as the check writes it; none should."""
        failing = [
            test.name
            for test in self._built.unit_tests[model.unique_id]
            if not self._expected(test.around(normal(test.model_sql)))
        ]
        with self._changed(model, normal(model.sql)) as error:
            if error:
                return [*failing, error]
            self._before[model.unique_id] = self._fingerprint(model)
            failing += self._failing(self._tests(model, set()))
        return failing

    def _is_valid(self, sql: str) -> bool:
        try:
            self._connection.execute(f"explain {sql}")
        except duckdb.Error:
            return False
        return True

    def _expected(self, sql: str) -> bool:
        """Whether the query of a unit test gives the same rows twice: actual and expected."""
        try:
            with self._watched():
                rows = self._connection.execute(sql).fetchall()
        except duckdb.Error:
            return False
        sides = {"actual": Counter(), "expected": Counter()}
        for *values, side in rows:
            sides[side][repr(values)] += 1
        return sides["actual"] == sides["expected"]

    def _data_test_that_fails(self, model: Model, sql: str) -> str:
        with self._changed(model, sql) as error:
            if error:
                return error
            if self._fingerprint(model) == self._before.get(model.unique_id):
                return ""
            if failing := self._failing(self._tests(model, set()), first=True):
                return failing[0]
            children = self._built.children(model.unique_id)
            for child in children:
                try:
                    with self._watched():
                        self._replace(child, child.sql)
                except duckdb.Error:
                    return f"the build of {child.name}"
            rebuilt = {child.unique_id for child in children}
            own = {test.name for test in self._tests(model, set())}
            more = [t for t in self._tests(model, rebuilt) if t.name not in own]
            return next(iter(self._failing(more, first=True)), "")

    def _tests(self, model: Model, rebuilt: set[str]) -> list[DataTest]:
        return self._built.tests_of(model.unique_id, rebuilt)

    def _failing(self, tests: list[DataTest], first: bool = False) -> list[str]:
        failing = []
        for test in tests:
            try:
                with self._watched():
                    ((fails,),) = self._connection.execute(test.sql).fetchall()
            except duckdb.Error:
                fails = True
            if fails:
                failing.append(test.name)
                if first:
                    break
        return failing

    @contextmanager
    def _changed(self, model: Model, sql: str) -> Iterator[str]:
        """The warehouse with another table for the model; yields why it could not be built."""
        types = self._types(model)
        self._connection.execute("begin")
        error = ""
        try:
            try:
                with self._watched():
                    self._replace(model, sql)
            except duckdb.Error:
                error = "the build"
            if not error and model.has_contract and self._types(model) != types:
                error = "the contract"
            yield error
        finally:
            self._connection.execute("rollback")

    def _replace(self, model: Model, sql: str) -> None:
        self._connection.execute(f"drop {model.kind} {model.relation}")
        self._connection.execute(f"create table {model.relation} as {sql}")

    def _types(self, model: Model) -> list[tuple[str, str]]:
        rows = self._connection.execute(f"describe {model.relation}").fetchall()
        return sorted((name, kind) for name, kind, *_ in rows)

    def _fingerprint(self, model: Model) -> tuple[int, ...]:
        rows = self._connection.execute(
            f"select count(*), sum(hash(t)::hugeint) from {model.relation} as t"
        )
        return rows.fetchall()[0]

    @contextmanager
    def _watched(self) -> Iterator[None]:
        timer = threading.Timer(PATIENCE, self._connection.interrupt)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
