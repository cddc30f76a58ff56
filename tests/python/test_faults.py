"""What goes wrong around the project: each ends in a sentence, and nothing is lost or half done.

Disks, locks, signals and files are real ones; a test whose fault cannot be made here (a small
disk needs the right to mount one) is skipped and says so.
"""

import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import pytest

import ubi_fixtures as ubi
from conftest import Flywheel, Run
from flywheel.errors import FlywheelError
from flywheel.files import TEMPORARY_PREFIX, atomic_path
from flywheel.locking import exclusive
from flywheel.warehouse import connect, fault_sentence
from killing import Process, contents, finished, public_tables, readable, said
from patience import PATIENCE, wait_until
from simulated import settings_of

LOCKED_BY_PATIENCE = "0.3"


def searches(n: int, day: int = 2) -> list[ubi.Document]:
    """A day of searches with a click each."""
    start = datetime(2026, 3, day)
    documents = []
    for i in range(n):
        at = start + timedelta(minutes=3 * i)
        who = {"client_id": f"c{i % 37}"}
        documents += [
            ubi.query(f"{day}-{i}", f"text {i % 11}", f"{at}Z", hits=["a", "b", "c"], **who),
            ubi.event("click", f"{day}-{i}", f"{at}Z", doc="b", ordinal=2, **who),
        ]
    return documents


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ubi.write_ndjson(tmp_path_factory.mktemp("log") / "day 1.ndjson", searches(200))


@pytest.fixture(scope="module")
def built(make_flywheel: Callable[[str], Flywheel], log: Path) -> Flywheel:
    """A warehouse that was built without any fault."""
    flywheel = make_flywheel("undisturbed")
    run = build(flywheel, log)
    assert run.status == 0, run.output
    return flywheel


@pytest.fixture
def copied(built: Flywheel, tmp_path: Path) -> Flywheel:
    """The same in a folder of its own."""
    shutil.copytree(built.home, tmp_path / "home", ignore=shutil.ignore_patterns("logs"))
    return Flywheel(tmp_path / "home")


def arguments(log: Path) -> list[str]:
    return [
        *("build", "--no-tests", f"--var=raw_queries={log}", f"--var=raw_events={log}"),
        "--var=ranking_features=",
    ]


def build(flywheel: Flywheel, log: Path) -> Run:
    return flywheel.command(*arguments(log))


def refused(run: Run) -> str:
    """The one sentence of a command that failed as it should."""
    assert run.status == 1, run.output
    assert "Traceback" not in run.output, run.output
    (line,) = (line for line in run.output.splitlines() if line.startswith("flywheel: "))
    assert line.endswith("."), line
    return line


# --- full disks ---------------------------------------------------------------------------------


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Callable[[str], None]]:
    """A folder on a disk of its own; yields what gives the disk other mount options."""
    folder.mkdir(parents=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "flywheel-test", str(folder)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("no right to mount a small disk")
    try:
        yield lambda options: subprocess.run(
            ["mount", "-o", f"remount,{options}", str(folder)], check=True
        )
    finally:
        subprocess.run(["umount", str(folder)], check=False)


@pytest.mark.slow
@pytest.mark.parametrize("size", ["64k", "12m"])
def test_a_full_disk_is_said_and_the_next_run_completes(
    built: Flywheel, log: Path, tmp_path: Path, size: str
) -> None:
    with small_disk(tmp_path / "disk", size) as remount:
        flywheel = Flywheel(tmp_path / "disk" / "home")
        line = refused(build(flywheel, log))
        assert "full" in line or "No space left" in line, line
        assert str(flywheel.home) in line
        if flywheel.database.exists():
            readable(flywheel)
        remount("size=200m")
        run = build(flywheel, log)
        assert run.status == 0, run.output
        assert contents(flywheel) == contents(built)


@pytest.mark.slow
def test_a_file_size_limit_is_a_full_disk_too(flywheel: Flywheel, log: Path) -> None:
    """The fault that needs no rights: no file may grow beyond 300 kB."""
    limited = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000)); "
        "from flywheel.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", limited, *arguments(log)],
        env=flywheel.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    line = refused(Run(done.returncode, done.stdout + done.stderr, done.stdout))
    assert "full" in line or "File too large" in line, line


def test_a_file_that_cannot_be_written_stays_what_it_was(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "100k"):
        path = tmp_path / "disk" / "deployment.json"
        path.write_text("before")
        with pytest.raises(OSError, match="No space left") as caught, atomic_path(path) as part:
            part.write_bytes(b"x" * 200_000)
        assert caught.value.filename == str(path)
        assert path.read_text() == "before"
        assert not [*path.parent.glob(f"{TEMPORARY_PREFIX}*")]


# --- files that may not be written --------------------------------------------------------------


def test_a_read_only_disk_can_be_read_but_not_built_on(
    built: Flywheel, log: Path, tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk", "200m") as remount:
        flywheel = Flywheel(tmp_path / "disk" / "home")
        shutil.copytree(built.home, flywheel.home)
        remount("ro")
        line = refused(build(flywheel, log))
        assert "Read-only file system" in line
        assert str(flywheel.home) in line
        assert contents(flywheel) == contents(built)
        assert flywheel.command("status").status == 0


def test_a_warehouse_that_may_not_be_written(copied: Flywheel, log: Path) -> None:
    made = subprocess.run(["chattr", "+i", str(copied.database)], capture_output=True, check=False)
    if made.returncode:
        pytest.skip("no right to make a file immutable")
    try:
        line = refused(build(copied, log))
        assert f"The warehouse {copied.database} cannot be written" in line
        assert "FLYWHEEL_DB" in line
    finally:
        subprocess.run(["chattr", "-i", str(copied.database)], check=True)


def test_a_place_that_is_no_file(flywheel: Flywheel, log: Path) -> None:
    flywheel.database.mkdir(parents=True)
    assert "is a folder" in refused(build(flywheel, log))
    assert "is a folder" in refused(flywheel.command("status"))


# --- damaged and foreign files ------------------------------------------------------------------


def header_checksum(block: bytes) -> int:
    """DuckDB's checksum of its 4,096 byte header, which stands in its first 8 bytes."""
    words = struct.unpack("<511Q", block[8:4096])
    checksum = 5381
    for word in words:
        checksum ^= word * 0xBF58476D1CE4E5B9 % 2**64
    return checksum


def flip_blocks(data: bytearray) -> None:
    chance = random.Random(1)
    for _ in range(300):
        data[chance.randrange(12288, len(data))] ^= 0xFF


DAMAGES: dict[str, Callable[[bytearray], bytearray | None]] = {
    "empty": lambda data: data.clear(),
    "cut in its header": lambda data: data.__delitem__(slice(100, None)),
    "cut in the middle": lambda data: data.__delitem__(slice(len(data) // 2, None)),
    "garbage at its head": lambda data: data.__setitem__(slice(0, 28), b"garbage" * 4),
    "garbage all over": lambda data: data.__setitem__(
        slice(0, None), random.Random(2).randbytes(len(data))
    ),
    "flipped bytes": flip_blocks,
    "another kind of file": lambda data: data.__setitem__(
        slice(0, None), b"SQLite format 3\0" * 999
    ),
}


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(name, marks=pytest.mark.slow) if name == "flipped bytes" else name
        for name in DAMAGES
    ],
)
def test_a_damaged_warehouse_is_said_and_left_alone(
    copied: Flywheel, log: Path, damage: str
) -> None:
    data = bytearray(copied.database.read_bytes())
    DAMAGES[damage](data)
    copied.database.write_bytes(data)
    for run in (build(copied, log), copied.command("status")):
        line = refused(run)
        assert f"The warehouse {copied.database} is damaged or no DuckDB file" in line, line
        assert "restore it from a backup, or move it away and build again" in line
    assert copied.database.read_bytes() == bytes(data)
    if damage == "flipped bytes":
        copied.database.rename(copied.home / "damaged")  # what the sentence says
        assert build(copied, log).status == 0


def test_damage_that_shows_only_when_a_table_is_read(copied: Flywheel) -> None:
    """The catalog opens; the block of a table does not."""
    with pytest.raises(FlywheelError, match="is damaged") as caught:
        data = bytearray(copied.database.read_bytes())
        for place in range(3 * 4096, len(data), 262144):
            damaged = bytearray(data)
            for offset in range(place + 8, min(place + 262144, len(data)), 4096):
                damaged[offset] ^= 0xFF
            copied.database.write_bytes(damaged)
            try:
                duckdb.connect(str(copied.database), read_only=True).close()
            except duckdb.Error:
                continue
            with connect(settings_of(copied.home)) as connection:
                for table in public_tables(connection):
                    connection.execute(f"select * from {table}").fetchall()
    assert str(copied.database) in str(caught.value)


@pytest.mark.parametrize("version", [63, 100_000])
def test_a_warehouse_of_another_duckdb(copied: Flywheel, log: Path, version: int) -> None:
    data = bytearray(copied.database.read_bytes())
    if header_checksum(data) != struct.unpack("<Q", data[:8])[0]:
        pytest.skip("this DuckDB sums its header in another way")
    data[12:20] = struct.pack("<Q", version)
    data[:8] = struct.pack("<Q", header_checksum(data))
    copied.database.write_bytes(data)
    line = refused(build(copied, log))
    assert f"The warehouse {copied.database} was written by another version of DuckDB" in line, line
    assert duckdb.__version__ in line


def test_engine_messages_about_other_things_are_no_faults(tmp_path: Path) -> None:
    path = tmp_path / "warehouse.duckdb"
    for message in (
        'Binder Error: Referenced column "x" not found',
        "Conversion Error: Could not convert string 'full' to INT32",
        "Catalog Error: Table with name fct_searches does not exist!",
    ):
        assert fault_sentence(message, path) is None
    raw = fault_sentence('IO Error: Cannot open file "/logs/a.csv": Permission denied', path)
    assert raw is not None and "/logs/a.csv" in raw and "warehouse" not in raw


# --- too little memory --------------------------------------------------------------------------


@pytest.mark.slow
def test_too_little_memory_is_said(
    flywheel: Flywheel, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLYWHEEL_MEMORY", "20MB")
    line = refused(build(flywheel, log))
    assert "The memory limit of 20MB is too small" in line
    assert "FLYWHEEL_MEMORY" in line
    assert not any(readable(flywheel).values())
    for name, value in (("FLYWHEEL_MEMORY", "plenty"), ("FLYWHEEL_THREADS", "two")):
        monkeypatch.setenv("FLYWHEEL_MEMORY", "2GB")
        monkeypatch.setenv(name, value)
        assert f"{name} is {value}" in refused(build(flywheel, log))


# --- two at once --------------------------------------------------------------------------------


@contextmanager
def another_process(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A process that has said that it is ready."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()


HOLD = """
import duckdb, sys, time
connection = duckdb.connect(sys.argv[1])
print("ready", flush=True)
while True:
    time.sleep(1)
"""


def test_a_warehouse_that_another_process_holds_is_waited_for(
    copied: Flywheel, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with another_process(HOLD, str(copied.database)) as holder:
        process = Process(copied, ["-m", "flywheel", *arguments(log)], tmp_path / "said.txt")
        waiting = f"flywheel: waiting for the warehouse {copied.database}"
        wait_until(lambda: waiting in process.said, "the build waits")
        assert str(holder.pid) in process.said
    process.finish()
    with another_process(HOLD, str(copied.database)):
        monkeypatch.setenv("FLYWHEEL_LOCK_WAIT", LOCKED_BY_PATIENCE)
        line = refused(build(copied, log))
        assert f"The warehouse {copied.database} is held by another process" in line
        assert "FLYWHEEL_LOCK_WAIT" in line


def test_a_second_command_waits_for_the_first(
    copied: Flywheel, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(copied.home)
    with exclusive(settings, "run"):
        monkeypatch.setenv("FLYWHEEL_LOCK_WAIT", LOCKED_BY_PATIENCE)
        for command in ("build", "validate", "train", "run", "canary", "promote", "rollback"):
            line = refused(copied.command(command))
            assert f"(flywheel run, process {os.getpid()}, since " in line
            assert str(copied.database) in line
        for command in (["status"], ["build", "--help"]):  # these only read
            assert copied.command(*command).status == 0
    assert "No canary" in refused(copied.command("canary"))


def test_the_right_ends_with_its_process(copied: Flywheel) -> None:
    settings = settings_of(copied.home)
    hold = """
import sys, time
from pathlib import Path
from flywheel.locking import exclusive
from flywheel.settings import Settings
home = Path(sys.argv[1])
with exclusive(Settings(home, home, home / "warehouse.duckdb"), "run"):
    print("ready", flush=True)
    while True:
        time.sleep(1)
"""
    with another_process(hold, str(copied.home)) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with exclusive(settings, "build"):
            note = json.loads((copied.home / "warehouse.duckdb.lock").read_text())
    assert (note["pid"], note["command"]) == (os.getpid(), "build")


@pytest.mark.slow
def test_two_builds_at_once_do_nothing_double(
    copied: Flywheel,
    built: Flywheel,
    log: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FLYWHEEL_LOCK_WAIT", str(PATIENCE))
    command = ["-m", "flywheel", *arguments(log)]
    # The second starts while the first, stopped in the middle of its models, has the right.
    first = Process(copied, command, tmp_path / "first.txt")
    assert first.signal_when(finished(5), signal.SIGSTOP, wait=False), first.said
    second = Process(copied, command, tmp_path / "second.txt")
    waiting = "waiting for another command (flywheel build, process"
    wait_until(lambda: waiting in second.said, "the second build waits")
    os.killpg(first.process.pid, signal.SIGCONT)
    first.finish()
    second.finish()
    assert waiting not in first.said
    assert contents(copied) == contents(built)


# --- Ctrl-C -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "moment", ["dbt is imported", pytest.param("models are built", marks=pytest.mark.slow)]
)
def test_ctrl_c_leaves_a_sentence_and_a_usable_warehouse(
    copied: Flywheel, built: Flywheel, log: Path, tmp_path: Path, moment: str
) -> None:
    process = Process(copied, ["-m", "flywheel", *arguments(log)], tmp_path / "said.txt")
    is_early = moment == "dbt is imported"
    assert process.signal_when(
        said("Check") if is_early else finished(5), signal.SIGINT, 0.1 if is_early else 0.0
    ), process.said
    assert process.process.returncode in (130, -signal.SIGINT), process.said
    checked, *lines = process.said.splitlines()
    assert checked.startswith("Check")
    assert lines == ["flywheel: stopped; the next run goes on from here."], process.said
    readable(copied)
    if not is_early:
        assert build(copied, log).status == 0
    assert contents(copied) == contents(built)
