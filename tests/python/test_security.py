"""Texts from outside stay texts: in SQL, in a shell, in Jinja, in HTML; and addresses stay inside.

One flywheel is turned on a log in which every text column is hostile, from a folder whose name is
hostile too; its tables, pages and files are then looked at with tools of their own.
"""

import ast
import re
import shutil
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import duckdb
import pytest

import ubi_fixtures as ubi
from conftest import PROJECT, Flywheel, Run
from simulated import small_world, write_flat

QUERIES = (
    "<script>alert(1)</script>",
    "'); drop table fct_searches; --",
    "{{ var('address_salt') }} {% set x = 1 %} {# gone #}",
    "$(touch owned) `touch owned`; touch owned | touch owned && touch owned",
    '" onmouseover="alert(1)" x="',
    "' onfocus='alert(1)' autofocus='",
    "</title></style></textarea><svg onload=alert(1)>",
    "javascript:alert(1)",
    "%s %(x)s $1 ? :name {0} {x}",
    "<!-- --> ]]> &lt;b&gt; \\u003cscript\\u003e",
)
"""Lower case and single spaces: their own normal form."""
AGENTS = (
    "<img src=x onerror=alert(1)>",
    "mozilla'; delete from fct_sessions; --",
    "{{ env_var('HOME') }}",
    '"><script src=//evil.example></script>',
)
FOLDER = 'log\'s "folder" $(touch owned) ; é ü 漢 {{ 1 / 0 }} & <b>'
SALT = "it's a '); drop table fct_searches; -- salt"
FLAT_COLUMNS = ("user_id", "ip", "user_agent", "device", "model_version", "variant")
OURS = {"main", "main_staging", "main_intermediate", "flywheel_state"}
"""Every schema but raw."""


@pytest.fixture(scope="module")
def turned(tmp_path_factory: pytest.TempPathFactory) -> Flywheel:
    """A turn of the loop on hostile texts, with validation and report."""
    folder = tmp_path_factory.mktemp("security") / FOLDER
    world = small_world()
    clean = write_flat(world, folder / "clean.parquet", columns=FLAT_COLUMNS)
    log = folder / "log of 'today'.parquet"
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(
            "create table queries as select unnest(?::varchar[]) as hostile", [QUERIES]
        )
        connection.execute(
            f"""
            copy (
                with places as (
                    select query as clean, row_number() over (order by query) as place
                    from (select distinct query from read_parquet({quoted(clean)}))
                ),
                hostile as (
                    select hostile, row_number() over (order by hostile) as place from queries
                )
                select
                    log.* replace (
                        coalesce(hostile.hostile, log.query) as query,
                        log.doc_id || case when log.rank % 2 = 0
                            then '"><img src=x onerror=alert(2)>' else ''' onclick=''x' end
                            as doc_id,
                        (?::varchar[])[1 + ascii(right(log.user_id, 1)) % {len(AGENTS)}]
                            as user_agent,
                        '203.0.113.' || ascii(right(log.user_id, 1)) as ip,
                        log.user_id || '<script>' as user_id,
                        '"><svg onload=alert(3)>' as device,
                        'logged'' or ''1''=''1' as model_version
                    )
                from read_parquet({quoted(clean)}) as log
                inner join places on log.query = places.clean
                left join hostile on places.place = hostile.place
            ) to {quoted(log)} (format parquet)
            """,
            [AGENTS],
        )
    features = folder / "features {{ x }}.parquet"
    world.write_features(features)
    clean.unlink()
    flywheel = Flywheel(folder / "home of <i>")
    run = flywheel.command(
        *("run", "--log", str(log), "--features", str(features), "--no-tests", "--no-validation"),
        f'--var=address_salt="{SALT}"',
    )
    assert run.status == 0, run.output
    assert "Traceback" not in run.output
    validated = flywheel.command("validate")  # whatever it finds, its pages are written
    assert "Traceback" not in validated.output
    assert (flywheel.home / "data_docs" / "index.html").exists(), validated.output
    assert "owned" not in {path.name for path in (*PROJECT.iterdir(), *Path.cwd().iterdir())}
    return flywheel


def quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


# --- SQL and Jinja ------------------------------------------------------------------------------


def test_every_hostile_text_is_in_the_tables_as_it_was(turned: Flywheel) -> None:
    for column, texts in (("normalized_query", QUERIES), ("user_agent", AGENTS)):
        found = {text for (text,) in turned.rows(f"select distinct {column} from fct_searches")}
        assert set(texts) <= found
    (count,) = turned.rows("select count(*) from fct_impressions where doc_id like '%onerror%'")
    assert count[0] > 0
    tables = {name for (name,) in turned.rows("select table_name from duckdb_tables()")}
    assert {"fct_searches", "fct_sessions"} <= tables
    (totals,) = turned.rows(
        "select sum(n_rows) = sum(n_used), sum(n_rows) > 0 from fct_input_reconciliation"
    )
    assert totals == (True, True)


def test_hostile_columns_and_names_of_a_ubi_log(flywheel: Flywheel, tmp_path: Path) -> None:
    """Keys, applications and document ids instead of values; every row must be told."""
    documents = []
    for n, text in enumerate((*QUERIES, *AGENTS)):
        at = f"2026-03-02T{n:02}:00:00Z"
        documents += [
            ubi.query(text, text, at, hits=[text, "b"], application=text, client_id=text)
            | {text: text},
            ubi.event("click", text, at, doc=text, ordinal=1, application=text, client_id=text),
        ]
    path = ubi.write_ndjson(tmp_path / FOLDER / "it's one.ndjson", documents)
    variables = [f"--var={name}={path}" for name in ("raw_queries", "raw_events")]
    run = flywheel.command("build", "--no-tests", *variables, "--var=ranking_features=")
    assert run.status == 0, run.output
    clicked = flywheel.rows("select search_id, doc_id from fct_impressions where clicked = 1")
    assert sorted(clicked) == sorted((text, text) for text in (*QUERIES, *AGENTS))
    applications = {a for (a,) in flywheel.rows("select application from dim_applications")}
    assert applications == {*QUERIES, *AGENTS}


@pytest.mark.parametrize("name", ["a*b", "[ab]", "wh?t"])
def test_a_path_that_is_a_pattern_is_refused_in_a_sentence(
    flywheel: Flywheel, tmp_path: Path, name: str
) -> None:
    path = ubi.write_ndjson(tmp_path / name / "log.ndjson", [ubi.query("q", "x", "2026-03-02")])
    run: Run = flywheel.command("build", f"--var=raw_queries={path}", f"--var=raw_events={path}")
    assert run.status == 1
    assert "holds a character that patterns use" in run.output
    assert "Traceback" not in run.output


def test_hostile_column_names_are_names(flywheel: Flywheel, tmp_path: Path) -> None:
    header = 'search_id,searched_at,query,doc_id,rank,clicked,x\' y,"a ""b""",{{ 1 }},;--'
    row = "s,2026-03-02T10:00:00Z,lamp,d,1,1,1,2,3,4"
    path = ubi.write_bytes(tmp_path / "f.csv", f"{header}\n{row}\n".encode())
    flywheel.build(log_format="flat", flat_log=path, tests=False)
    assert flywheel.rows("select doc_id, clicked from fct_impressions") == [("d", 1)]


# --- pages --------------------------------------------------------------------------------------

OUR_ATTRIBUTES = re.compile(
    r"^(class|id|href|lang|charset|name|content|http-equiv|rel|role|aria-[a-z]+|tabindex|scope|"
    r"colspan|rowspan|title|style|width|height|viewbox|xmlns(:[a-z]+)?|version|open|datetime|src|"
    r"alt|type|d|x|y|x1|x2|y1|y2|cx|cy|r|rx|ry|points|fill[a-z-]*|stroke[a-z-]*|transform|opacity|"
    r"clip-[a-z]+|xlink:href|font[a-z-]*|text-anchor|dominant-baseline|dx|dy|for|data-[a-z-]+|"
    r"clippathunits|preserveaspectratio|focusable|headers|start|value|media|itemprop|"
    r"checked|cell[a-z]+|border|align|valign|target|rel|hidden)$"
)

OF_GREAT_EXPECTATIONS = {
    ("onclick", "showAllValidations()"),
    ("onclick", "hideSucceededValidations()"),
}
"""Buttons of its pages, whose scripts have been taken out."""


class Page(HTMLParser):
    """Everything of a page that could run, load or break out.

    Args:
        text: the page.
        is_ours: no part of it comes from another library, so every attribute is known.
    """

    def __init__(self, text: str, *, is_ours: bool = True) -> None:
        super().__init__(convert_charrefs=True)
        self.is_ours = is_ours
        self.found: list[str] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "embed", "img", "base", "link"):
            values = dict(attrs)
            # An icon beside the page, or an empty one, loads nothing that the log could name.
            if not (tag == "link" and re.match(r"data:,$|[.]{2}/", values.get("href") or "")):
                self.found.append(f"<{tag} {values}>")
        for name, value in attrs:
            known = OUR_ATTRIBUTES.match(name) if self.is_ours else not name.startswith("on")
            if not known and (name, value) not in OF_GREAT_EXPECTATIONS:
                self.found.append(f"{tag} {name}={value}")
            if name in ("href", "src", "xlink:href") and re.match(
                r"\s*(javascript|vbscript|data:text|https?:|//)", value or "", re.IGNORECASE
            ):
                self.found.append(f"{tag} {name}={value}")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def pages_of(flywheel: Flywheel) -> Iterator[tuple[Path, Page]]:
    for path in flywheel.home.rglob("*.html"):
        is_ours = path.name in ("report.html", "index.html")
        yield path, Page(path.read_text(encoding="utf-8"), is_ours=is_ours)


def test_no_page_runs_or_loads_what_the_log_said(turned: Flywheel) -> None:
    pages = dict(pages_of(turned))
    assert len(pages) > 5
    assert {path.parent.name for path in pages} > {"reports"}
    for path, page in pages.items():
        assert not page.found, (path, page.found[:5])
    (report,) = (page for path, page in pages.items() if path.name == "report.html")
    shown = " ".join(report.texts)
    assert any(text in shown for text in QUERIES), "no hostile query is on the page: no test"


def test_the_page_test_sees_what_it_should() -> None:
    for bad in ('<p title="a" onclick="b">', "<img src=x>", "<a href='javascript:x'>", "<script>"):
        assert Page(bad).found
    assert not Page('<p class="a" title="&quot; onclick=&quot;b">&lt;script&gt;</p>').found


# --- code ---------------------------------------------------------------------------------------

SOURCES = sorted((PROJECT / "python" / "flywheel").rglob("*.py"))
UNSAFE_MODULES = {"pickle", "cPickle", "joblib", "cloudpickle", "dill", "marshal", "shelve"}
UNSAFE_CALLS = {
    *("eval", "exec", "compile", "__import__", "yaml.load", "yaml.unsafe_load", "os.system"),
    *("os.popen", "pd.read_pickle", "pandas.read_pickle", "torch.load", "lightgbm.Booster.load"),
}


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_nothing_is_unpickled_evaluated_or_given_to_a_shell(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module.split(".")[0])
    assert not modules & UNSAFE_MODULES
    for name, call in calls(tree):
        assert name not in UNSAFE_CALLS, f"{path}:{call.lineno} {name}"
        arguments: dict[str | None, Any] = {k.arg: k.value for k in call.keywords}
        for unsafe in ("shell", "allow_pickle"):
            value = arguments.get(unsafe)
            assert not (isinstance(value, ast.Constant) and value.value), f"{path}:{call.lineno}"


def test_a_changed_byte_of_a_model_is_noticed_before_it_is_loaded(
    turned: Flywheel, tmp_path: Path
) -> None:
    shutil.copytree(turned.home, tmp_path / "home")
    flywheel = Flywheel(tmp_path / "home")
    features = turned.home.parent / "features {{ x }}.parquet"
    arguments = ("score", "--features", str(features), "--output", str(tmp_path / "s.parquet"))
    before = flywheel.command(*arguments, "--model", "challenger")
    assert before.status == 0, before.output
    ((version,),) = flywheel.rows(
        "select model_version from dim_model_versions where state in ('challenger', 'canary')"
    )
    for path in sorted((flywheel.home / "models" / version).rglob("*")):
        if not path.is_file():
            continue
        sound = path.read_bytes()
        changed = bytearray(sound)
        changed[len(changed) // 2] ^= 1
        path.write_bytes(changed)
        run = flywheel.command(*arguments, "--model", "challenger")
        assert run.status == 1, (path, run.output)
        assert "Traceback" not in run.output
        assert path.name in run.output
        path.write_bytes(sound)


# --- addresses ----------------------------------------------------------------------------------

ADDRESSES = ["203.0.113.7", "198.51.100.23", "2001:db8:85a3::8a2e:370:7334"]


def texts_in(flywheel: Flywheel) -> Iterator[tuple[str, str]]:
    """Every text of every table outside of raw, with the table's name."""
    with flywheel.connection() as connection:
        tables = connection.execute(
            "select schema_name, table_name from duckdb_tables() "
            "where database_name = current_database()"
        ).fetchall()
        assert {schema for schema, _ in tables} >= OURS - {"flywheel_state"}
        for schema, table in tables:
            if schema != "raw":
                for row in connection.execute(f'select * from "{schema}"."{table}"').fetchall():
                    yield f"{schema}.{table}", repr(row)


def assert_no_address(flywheel: Flywheel, addresses: list[str]) -> None:
    for table, text in texts_in(flywheel):
        for address in addresses:
            assert address not in text, (table, text)


def test_addresses_leave_the_raw_rows_only_as_salted_hashes(
    flywheel: Flywheel, tmp_path: Path
) -> None:
    at = "2026-03-02T10:00:00Z"
    v4, other, v6 = ADDRESSES
    documents: list[bytes] = []
    for n, (address, fields) in enumerate(
        [(v4, {}), (v6, {}), (other, {"timestamp": None}), (v4, {"timestamp": "1970-01-01"})]
    ):
        query = ubi.query(f"q{n}", "lamp", at, hits=["a"], query_attributes={"ip": address})
        click = ubi.event("click", f"q{n}", at, doc="a", ordinal=1, attributes={"ip": other})
        documents += [ubi.lines([query | fields]).encode(), ubi.lines([click | fields]).encode()]
    cut = documents[0].rstrip()[:-9] + b"\n"
    documents += [cut, b'{"ip":"' + v6.encode() + b"\n", b"seen " + v4.encode() + b" twice\n"]
    documents.append(b'{"query_id": "caf\xe9", "ip": "' + other.encode() + b'"}\n')
    path = ubi.write_bytes(tmp_path / "log.ndjson", b"".join(documents))
    flywheel.build(raw_queries=path, raw_events=path, tests=False)
    assert_no_address(flywheel, ADDRESSES)
    (same,) = flywheel.rows(
        "select count(distinct ip_hash), count(ip_hash) from main_staging.base_ubi__documents "
        "where query_id in ('q0', 'q3') and document_kind = 'query'"
    )
    assert same == (1, 2)  # one address, one hash
    (payload,) = flywheel.rows(
        "select payload from fct_quarantined_rows where reason = 'missing_time' "
        "and source = 'ubi_queries'"
    )
    assert '"ip": "[address]"' in payload[0]


@pytest.mark.parametrize("suffix", ["csv", pytest.param("ndjson", marks=pytest.mark.slow)])
def test_addresses_of_a_flat_log_do_too(flywheel: Flywheel, tmp_path: Path, suffix: str) -> None:
    row = ubi.flat_row("s", "a", 1, 0, at="2026-03-02", query="lamp", ip=ADDRESSES[0])
    bad = row | {"doc_id": "b", "rank": "first", "ip": ADDRESSES[1]}
    if suffix == "csv":
        path = ubi.write_csv(tmp_path / "f.csv", [row, bad])
        extra = f"s,2026-03-02,caf\xe9,c,2,0,{ADDRESSES[1]}\n".encode("latin-1")
    else:
        path = ubi.write_ndjson(tmp_path / "f.ndjson", [row, bad])
        extra = b'{"search_id": "s", "ip": "' + ADDRESSES[2].encode() + b'"\n'
    path.write_bytes(path.read_bytes() + extra)
    flywheel.build(log_format="flat", flat_log=path, tests=False)
    assert_no_address(flywheel, ADDRESSES)
    assert flywheel.rows("select count(*) from fct_quarantined_rows") == [(2,)]


def test_the_turned_flywheel_holds_no_address_either(turned: Flywheel) -> None:
    found = turned.rows("select count(*) from main_staging.base_flat__rows where ip_hash is null")
    assert found == [(0,)]
    pattern = re.compile(r"203\.0\.113\.\d")
    assert not [table for table, text in texts_in(turned) if pattern.search(text)]
    for path in turned.home.rglob("*"):
        if path.suffix in (".html", ".json", ".csv", ".txt", ".log"):
            assert not pattern.search(path.read_text(encoding="utf-8", errors="replace")), path
