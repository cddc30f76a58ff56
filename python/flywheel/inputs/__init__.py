"""The input preflight: is there something at these paths that a build can read?

It runs before every build, so that a wrong path, a mislabelled file or a missing column costs a
second and one sentence instead of a broken warehouse. It samples the heads of files (and the
tails of Parquet files). Two kinds of file it reads through: compressed ones, because a cut
Zstandard stream is otherwise read as a shorter log without a word, and CSV, because a quote that
nobody closes makes one value of all rows up to the next quote. Rows are never judged here: a row
that cannot be used goes to `fct_quarantined_rows` in SQL.

Each module has one job: `paths` and `given` (what the vars name), `text`, `csv_rows`, `documents`
and `parquet` (kinds of files), `columns`, `declared` and `formats` (what a log must hold),
`preflight`.
"""

from flywheel.inputs.declared import LogFormat, log_formats
from flywheel.inputs.documents import SAMPLED_DOCUMENTS
from flywheel.inputs.parquet import unreadable_parquet
from flywheel.inputs.paths import resolve
from flywheel.inputs.preflight import InputFile, InputSummary, check, detect_format

__all__ = [
    "SAMPLED_DOCUMENTS",
    "InputFile",
    "InputSummary",
    "LogFormat",
    "check",
    "detect_format",
    "log_formats",
    "resolve",
    "unreadable_parquet",
]
