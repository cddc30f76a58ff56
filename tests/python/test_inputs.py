"""The preflight: what it lets through, and the sentence for everything it does not."""

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import ubi_fixtures as ubi
from flywheel import inputs
from flywheel.errors import FlywheelError
from flywheel.inputs import text as text_files

AT = "2026-03-02T10:00:00Z"
QUERY = ubi.query("q1", "red shoes", AT, hits=["a", "b"])
CLICK = ubi.event("click", "q1", AT, doc="b", ordinal=2)
ROW = ubi.flat_row("s1", "a", 1, 0, at=AT, query="red shoes")


def check_ubi(path: Path | str, **variables: str) -> inputs.InputSummary:
    return inputs.check({"log_format": "ubi", "raw_queries": str(path), **variables})


def check_flat(path: Path | str, **variables: str) -> inputs.InputSummary:
    return inputs.check({"log_format": "flat", "flat_log": str(path), **variables})


def sentence(call: Callable[[], object]) -> str:
    """The error's text, after a look at its form: one line that ends like a sentence."""
    with pytest.raises(FlywheelError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert text.endswith((".", "PATH."))
    return text


# --- what paths stand for -----------------------------------------------------------------------


def test_a_directory_is_searched_in_all_its_folders(tmp_path: Path) -> None:
    names = ["b.ndjson", "a/c.jsonl.gz", "a/d/e.parquet", "f.csv.zst", "g.json"]
    for name in [
        *names,
        ".hidden.ndjson",
        ".git/x.ndjson",
        "notes.txt",
        "_SUCCESS",
        "x.ndjson.bz2",
    ]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert inputs.resolve(str(tmp_path)) == sorted(tmp_path / name for name in names)


def test_a_glob_crosses_folders_and_takes_any_name(tmp_path: Path) -> None:
    for name in ("1/a.log", "2/3/b.log", "c.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert inputs.resolve(f"{tmp_path}/**/*.log") == [tmp_path / "1/a.log", tmp_path / "2/3/b.log"]


def test_a_name_that_is_a_pattern_itself_is_refused(tmp_path: Path) -> None:
    ubi.write_ndjson(tmp_path / "log[1].ndjson", [QUERY])
    ubi.write_ndjson(tmp_path / "log1.ndjson", [QUERY])
    assert "log[1].ndjson holds a character" in sentence(lambda: check_ubi(tmp_path))


def test_relative_paths_start_at_the_project(tmp_path: Path) -> None:
    (tmp_path / "dbt_project.yml").write_text("vars: {log_format: flat, flat_log: logs/f.ndjson}\n")
    ubi.write_ndjson(tmp_path / "logs" / "f.ndjson", [ROW])
    summary = inputs.check({}, project=tmp_path)
    assert [file.path for file in summary.files] == [tmp_path / "logs" / "f.ndjson"]


def test_the_shipped_defaults_are_read_from_the_project() -> None:
    project = Path(__file__).resolve().parents[2]
    if not (project / "seeds" / "sample_log").is_dir():
        pytest.skip("the sample log is not there")
    summary = inputs.check({}, project=project)
    assert summary.log_format == "ubi"
    assert len(summary.files) == 2
    assert len(summary.ranking_features) == 1


# --- what is let through ------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["ndjson", "jsonl", "json", "ndjson.gz", "ndjson.zst", "log"])
def test_ubi_text_in_every_packing(tmp_path: Path, suffix: str) -> None:
    path = ubi.write_ndjson(tmp_path / f"log.{suffix}", [QUERY, CLICK])
    summary = check_ubi(path)
    assert [(file.path, file.n_sampled) for file in summary.files] == [(path, 2)]
    assert summary.size_bytes == path.stat().st_size
    assert inputs.detect_format(str(path)) == "ubi"


def test_one_file_named_twice_counts_once(tmp_path: Path) -> None:
    path = ubi.write_ndjson(tmp_path / "both.ndjson", [QUERY, CLICK])
    assert len(check_ubi(path, raw_events=str(path)).files) == 1
    assert check_ubi(path, raw_events=str(tmp_path)).sentence().startswith("1 ubi file, 0.0 MB")


def test_bulk_tabbed_and_parquet_ubi(tmp_path: Path) -> None:
    bulk = ubi.write_bulk(tmp_path / "bulk.ndjson", [("ubi_queries", QUERY), ("ubi_events", CLICK)])
    tabbed = ubi.write_tabbed(tmp_path / "tabbed.ndjson", [("ubi_queries", QUERY)])
    parquet = ubi.write_parquet(
        tmp_path / "p.parquet", f"select 'q' as query_id, 'x' as user_query, '{AT}' as timestamp"
    )
    for path in (bulk, tabbed, parquet):
        assert inputs.detect_format(str(path)) == "ubi"
    assert len(check_ubi(tmp_path).files) == 3


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "csv.zst"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_flat_csv_with_any_delimiter(tmp_path: Path, suffix: str, delimiter: str) -> None:
    path = ubi.write_csv(tmp_path / f"f.{suffix}", [ROW], delimiter=delimiter)
    assert check_flat(path).log_format == "flat"
    assert inputs.detect_format(str(path)) == "flat"


def test_flat_ndjson_and_parquet(tmp_path: Path) -> None:
    text = ubi.write_ndjson(tmp_path / "f.ndjson.gz", [ROW])
    parquet = ubi.write_parquet(tmp_path / "f.parquet", f"select * from read_json_auto('{text}')")
    for path in (text, parquet):
        assert inputs.detect_format(str(path)) == "flat"
        assert check_flat(path).files[0].n_sampled == 1


def test_column_names_may_be_upper_case_and_follow_a_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufeffSEARCH_ID,Searched_At,Query,DOC_ID,Rank,Clicked\ns1,2026-03-02,x,a,1,0\n"
    check_flat(ubi.write_bytes(tmp_path / "f.csv", text.encode()))


def test_bad_rows_are_left_to_the_quarantine(tmp_path: Path) -> None:
    good = ubi.lines([QUERY, CLICK]).encode()
    path = ubi.write_bytes(tmp_path / "l.ndjson", b'{"cut": \n\xff\xfe\xfa\n\n[1]\n' + good)
    assert check_ubi(path).files[0].n_sampled == 2


def test_an_empty_file_among_others_is_fine(tmp_path: Path) -> None:
    ubi.write_ndjson(tmp_path / "2026-03-01.ndjson", [])
    ubi.write_ndjson(tmp_path / "2026-03-02.ndjson", [QUERY])
    assert [file.n_sampled for file in check_ubi(tmp_path).files] == [0, 1]
    assert inputs.detect_format(str(tmp_path)) == "ubi"


def test_a_first_document_of_a_megabyte_is_still_a_document(tmp_path: Path) -> None:
    path = ubi.write_ndjson(tmp_path / "l.ndjson", [QUERY | {"user_query": "x" * 2**20}])
    assert check_ubi(path).files[0].n_sampled == 1


def test_only_the_head_of_a_large_text_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_files, "HEAD_BYTES", 10_000)
    path = ubi.write_ndjson(tmp_path / "l.ndjson", [QUERY] * 1000)
    with path.open("ab") as file:
        file.write(b"\x00" * 100_000)  # would be refused, were it looked at
    assert check_ubi(path).files[0].n_sampled == pytest.approx(10_000 // 110, abs=30)


# --- and what is not ----------------------------------------------------------------------------


def test_missing_paths(tmp_path: Path) -> None:
    gone = tmp_path / "gone.ndjson"
    assert f"no file or directory {gone}" in sentence(lambda: check_ubi(gone))
    assert "No file matches" in sentence(lambda: check_ubi(tmp_path / "*.ndjson"))
    (tmp_path / "notes.txt").write_text("x")
    text = sentence(lambda: check_ubi(tmp_path))
    assert f"The directory {tmp_path} holds no file of a known type" in text
    assert ".ndjson" in text
    assert "remote address" in sentence(lambda: check_ubi("s3://bucket/log.ndjson"))


@pytest.mark.parametrize("value", ["", None, "  "])
def test_no_log_named(value: str | None) -> None:
    text = sentence(lambda: inputs.check({"log_format": "flat", "flat_log": value}))
    assert "--var flat_log=PATH" in text


def test_values_that_are_no_path_or_format() -> None:
    assert "it must be flat or ubi" in sentence(lambda: inputs.check({"log_format": "csv"}))
    text = sentence(lambda: inputs.check({"raw_queries": ["a", "b"]}))
    assert "raw_queries" in text
    assert "one path" in text


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("l.parquet", b"search_id,doc_id\n" * 9, "is not a Parquet file although"),
        ("l.parquet", b"PAR1" + b"\x00" * 99, "is a Parquet file that is cut short"),
        ("l.parquet", b"PAR1", "is a Parquet file that is cut short"),
        ("l.parquet", b"", "is not a Parquet file although"),
        ("l.parquet", b"PAR1" + b"\x07" * 99 + b"PAR1", "cannot be read as Parquet"),
        ("l.ndjson", b"PAR1" + b"\x00" * 99, "is a Parquet file; give it a name"),
        ("l.ndjson", b"PK\x03\x04" + b"\x00" * 99, "is a zip archive; unpack it"),
        ("l.ndjson", b'{"a": 1}\n\x00\x01\x02', "holds binary content"),
        ("l.ndjson", '{"query_id": "q"}\n'.encode("utf-16"), "is UTF-16 text"),
        ("l.json", b'[{"query_id": "q"}]', "is a JSON array"),
        ("l.ndjson", b"nothing\nhere\n", "None of the first 2 lines"),
        ("l.ndjson", b"", "holds no rows"),
        ("l.ndjson", b"\n \n", "holds no rows"),
    ],
)
def test_files_that_are_not_what_they_say(
    tmp_path: Path, name: str, data: bytes, says: str
) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    text = sentence(lambda: check_ubi(path))
    assert says in text
    assert str(path) in text
    if not says.startswith("None"):
        assert says in sentence(lambda: check_flat(path))


@pytest.mark.parametrize(("suffix", "name"), [("gz", "gzip"), ("zst", "Zstandard")])
def test_packed_files_that_are_not_or_not_all_there(tmp_path: Path, suffix: str, name: str) -> None:
    path = tmp_path / f"l.ndjson.{suffix}"
    path.write_bytes(ubi.lines([QUERY]).encode())
    assert f"is not {name} data although" in sentence(lambda: check_ubi(path))
    # Long and varied enough that the cut falls behind everything the sample looks at.
    many = [ubi.query(f"q{i * 7919 % 65537}", f"text {i}", AT) for i in range(150_000)]
    ubi.write_ndjson(path, many)
    assert check_ubi(path).files[0].n_sampled == inputs.SAMPLED_DOCUMENTS
    path.write_bytes(path.read_bytes()[:-20_000])
    text = sentence(lambda: check_ubi(path))
    assert "is cut short or damaged" in text
    assert str(path) in text
    assert text == sentence(lambda: inputs.detect_format(str(path)))


def test_a_damaged_middle_of_a_gzip_file(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(ubi.lines([QUERY] * 5000).encode()))
    data[len(data) // 2] ^= 0xFF
    path = tmp_path / "l.ndjson.gz"
    path.write_bytes(data)
    assert "is cut short or damaged" in sentence(lambda: check_ubi(path))


def test_packed_parquet(tmp_path: Path) -> None:
    path = ubi.write_bytes(tmp_path / "l.parquet.gz", b"PAR1")
    assert "packed twice" in sentence(lambda: check_ubi(path))


def test_a_line_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_files, "HEAD_BYTES", 2**20)
    path = ubi.write_bytes(tmp_path / "l.ndjson", b"x" * (2**20 + 1))
    assert "longer than 1 MB" in sentence(lambda: check_ubi(path))


@pytest.mark.parametrize("missing", inputs.log_formats()["flat"].required)
@pytest.mark.parametrize("suffix", ["csv", "ndjson", "parquet"])
def test_a_flat_log_without_a_required_column(tmp_path: Path, missing: str, suffix: str) -> None:
    row = {name: value for name, value in ROW.items() if name != missing} | {"extra": "x"}
    path = tmp_path / f"f.{suffix}"
    if suffix == "csv":
        ubi.write_csv(path, [row])
    elif suffix == "ndjson":
        ubi.write_ndjson(path, [row])
    else:
        columns = ", ".join(f"'{value}' as {name}" for name, value in row.items())
        ubi.write_parquet(path, f"select {columns}")
    text = sentence(lambda: check_flat(path))
    assert text.startswith(f"{path} lacks the required column {missing}; it has ")
    has = re.search(r"it has (.*?)\. Rename", text)
    assert has
    assert set(re.split(", | and ", has[1])) == set(row)


def test_several_missing_columns_are_named_together(tmp_path: Path) -> None:
    path = ubi.write_csv(tmp_path / "f.csv", [{"search_id": 1, "doc_id": 2, "rank": 3}])
    assert "lacks the required columns searched_at, query and clicked;" in sentence(
        lambda: check_flat(path)
    )


def test_every_file_of_a_folder_is_looked_at(tmp_path: Path) -> None:
    ubi.write_csv(tmp_path / "a.csv", [ROW])
    bad = ubi.write_csv(tmp_path / "z" / "b.csv", [{"search_id": 1, "doc_id": 2}])
    assert str(bad) in sentence(lambda: check_flat(tmp_path))


def test_the_wrong_format_names_the_right_var(tmp_path: Path) -> None:
    flat = ubi.write_ndjson(tmp_path / "flat.ndjson", [ROW])
    log = ubi.write_ndjson(tmp_path / "ubi.ndjson", [QUERY, CLICK])
    table = ubi.write_csv(tmp_path / "flat.csv", [ROW])
    assert f"--var log_format=flat --var flat_log={flat}" in sentence(lambda: check_ubi(flat))
    assert "--var log_format=ubi" in sentence(lambda: check_flat(log))
    assert "--var log_format=flat" in sentence(lambda: check_ubi(table))


def test_neither_format_says_what_is_there_and_what_is_needed(tmp_path: Path) -> None:
    path = ubi.write_ndjson(tmp_path / "l.ndjson", [{"event": "x", "ts": 1}] * 200)
    text = sentence(lambda: check_ubi(path))
    assert "they have event and ts" in text
    text = sentence(lambda: inputs.detect_format(str(path)))
    assert "it has event and ts" in text
    assert "search_id" in text
    assert "user_query" in text
    other = ubi.write_bytes(tmp_path / "log", b"a,b\n1,2\n")
    assert "of an unknown type" in sentence(lambda: inputs.detect_format(str(other)))


HEADER = "search_id,searched_at,query,doc_id,rank,clicked\n"
PLAIN = "s9,2026-03-02,lamp,a,1,0\n"


@pytest.mark.parametrize(
    ("rows", "line", "says"),
    [
        ('s1,2026-03-02,"lamp,a,1,0\n' + PLAIN * 3, 2, "line 3, which looks like a row, is in it"),
        (PLAIN + 's1,2026-03-02,"lamp,a,1,0\n', 3, "the file ends in it"),
        ('s1,2026-03-02,"lamp\nred" shoes,a,1,0\n', 2, "text follows the next quote, on line 3"),
        ('s1,2026-03-02,"lamp\n' + "x\n" * 1001 + '",a,1,0\n', 2, "it goes on for 1000 lines"),
        ('"s1",2026-03-02,"a\r\nb","lamp\r\n', 3, "the file ends in it"),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "csv.zst"])
def test_a_quote_that_nobody_closes(
    tmp_path: Path, rows: str, line: int, says: str, suffix: str
) -> None:
    path = ubi.write_bytes(tmp_path / f"f.{suffix}", (HEADER + rows).encode())
    text = sentence(lambda: check_flat(path))
    assert text.startswith(f"Line {line} of {path} opens a quoted value"), text
    assert says in text


@pytest.mark.parametrize(
    "rows",
    [
        's1,2026-03-02,"la\nmp",a,1,0\n',
        's1,2026-03-02,"la\r\n\r\nmp, red",a,1,"0"\r\n',
        's1,2026-03-02,5" pipe,a,1,0\ns2,2026-03-02,a "b",c,1,0\n',
        's1,2026-03-02,"a ""b""\n""c""",a,1,0\n',
        's1,2026-03-02,"",a,1,""',
        's1,2026-03-02,"a"b,c,1,0\n',
        's1,2026-03-02,"lamp",a,1,0\r' * 3,
    ],
)
def test_quotes_that_are_closed(tmp_path: Path, rows: str) -> None:
    check_flat(ubi.write_bytes(tmp_path / "f.csv", (HEADER + rows).encode()))


def test_quotes_are_followed_across_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = PLAIN * 5 + 's1,2026-03-02,"la\r\nmp",a,1,0\r\n' + PLAIN
    sound = ubi.write_bytes(tmp_path / "sound.csv", (HEADER + rows).encode())
    broken = ubi.write_bytes(tmp_path / "broken.csv", (HEADER + rows.replace('mp"', "mp")).encode())
    for size in range(1, 40):
        monkeypatch.setattr(text_files, "CHUNK", size)
        check_flat(sound)
        assert "Line 7 of " in sentence(lambda: check_flat(broken))


def test_blanks_before_quotes_and_an_open_one_join_rows(tmp_path: Path) -> None:
    """Blanks hide from the rules on quotes that DuckDB takes the value for a quoted one."""
    header = HEADER.strip().replace(",", '"\t"').join('""') + "\n"
    row = '\t"s1"\t"2026-03-02"\t"lamp"\t"a"\t"1"\t"0"\n'
    check_flat(ubi.write_bytes(tmp_path / "sound.csv", (header + row[1:] * 4).encode()))
    open_one = row.replace('"2026', '""2026')
    path = ubi.write_bytes(tmp_path / "open.csv", (header + row + open_one + row * 4).encode())
    text = sentence(lambda: check_flat(path))
    assert f"{path} holds 6 rows by its quotes and line ends, but is read as" in text


@pytest.mark.parametrize("suffix", ["ndjson", "ndjson.gz", "ndjson.zst"])
def test_a_lone_carriage_return_between_crlf_lines(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = json.dumps(QUERY)
    sound = [f"{line}\n" * 3, f"{line}\r\n" * 3, f"{line}\r" * 3, f"{line}\n{line}\r{line}\r\n"]
    broken = f"{line}\r\n\r{line}\r\n"
    for size in (1, 7, len(line) + 1, len(line) + 2, len(line) + 3, 2**20):
        monkeypatch.setattr(text_files, "CHUNK", size)
        for n, text in enumerate(sound):
            check_ubi(ubi.write_bytes(tmp_path / f"{n}.{suffix}", text.encode()))
        path = ubi.write_bytes(tmp_path / f"broken.{suffix}", broken.encode())
        said = sentence(lambda path=path: check_ubi(path))
        assert f"at byte {len(line) + 2} a \\r stands alone" in said


# --- ranking features ---------------------------------------------------------------------------


def test_ranking_features(tmp_path: Path) -> None:
    log = ubi.write_ndjson(tmp_path / "l.ndjson", [QUERY])

    def check(select: str) -> inputs.InputSummary:
        path = ubi.write_parquet(tmp_path / "f.parquet", select)
        return check_ubi(log, ranking_features=str(path))

    summary = check("select 'q' as query, 'd' as doc_id, 1.5 as price, 3 as stock, 'x' as brand")
    assert summary.ranking_features[0].n_sampled == 2
    assert "with ranking features" in summary.sentence()
    assert check("select 'd' as doc_id, cast(1 as utinyint) as stock").ranking_features
    assert "lack the column doc_id; they have query and price" in sentence(
        lambda: check("select 'q' as query, 1.5 as price")
    )
    text = sentence(lambda: check("select 1 as query, 2 as doc_id, 'x' as brand, true as new"))
    assert "no numeric column beside doc_id and query" in text
    path = ubi.write_csv(tmp_path / "f.csv", [{"doc_id": "d", "price": 1}])
    text = sentence(lambda: check_ubi(log, ranking_features=str(path)))
    assert "not a .parquet file" in text
    text = sentence(lambda: check_ubi(log, ranking_features=str(tmp_path / "no.parquet")))
    assert "no.parquet" in text
