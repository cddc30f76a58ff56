"""The reference reader of `deployment.json`: who sees which ranker, and in what order.

A search service needs three things from the flywheel: the model files named by the manifest, the
rule that puts a visitor in the champion or the canary arm, and the join of its own features with
the behavioural features that were shipped beside the model. This module is all three. Port it to
your service's language; the warehouse recomputes the same assignment in SQL.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import lightgbm
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flywheel.errors import FlywheelError

MANIFEST_VERSION = 1
BUCKETS = 10_000
LOGGED = "logged"
_SEPARATOR = "\x1f"
# Unicode's space separators (category Zs), which is what DuckDB's trim() takes away.
_SPACES = " \u00a0\u1680\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))

FeatureTable = pa.Table | Mapping[str, npt.ArrayLike]


@dataclass(frozen=True)
class Ranker:
    """A verified model with the behavioural features that belong to it.

    Attributes:
        model_version: the registered version.
        booster: the LightGBM model.
        features: names of the model's inputs, in the model's order.
        behavior_features: those of `features` that come from `behavior`, not from the caller.
        behavior: columns `query` (null: the document under a query it was not shown for), `doc_id`
            and `behavior_features`; None if the model uses none.
    """

    model_version: str
    booster: lightgbm.Booster
    features: tuple[str, ...]
    behavior_features: tuple[str, ...] = ()
    behavior: pa.Table | None = None
    _behavior_keys: pa.Array | None = field(init=False, repr=False, default=None)
    _document_keys: pa.Array | None = field(init=False, repr=False, default=None)

    def __post_init__(self) -> None:
        """Check that the parts fit together, and index the behavioural features."""
        expected = self.booster.num_feature()
        if expected != len(self.features):
            raise FlywheelError(
                f"Model {self.model_version} reads {expected} features but its features.json names "
                f"{len(self.features)}; deploy the files of one training run together."
            )
        if self.behavior is not None:
            _require(
                self.behavior,
                ("query", "doc_id", *self.behavior_features),
                f"The behaviour features of model {self.model_version}",
            )
            alone = pc.is_null(self.behavior["query"])
            documents = pc.if_else(alone, _documents(self.behavior), None)
            object.__setattr__(self, "_behavior_keys", _keys(self.behavior))
            object.__setattr__(self, "_document_keys", documents.combine_chunks())

    def score_table(self, table: FeatureTable) -> npt.NDArray[np.float64]:
        """Score every row of a feature table.

        Args:
            table: columns `query`, `doc_id` and the model's features except the behavioural ones,
                which are looked up by normalised query and document. A pair without behaviour
                has that of the document alone (the row whose query is null), and a document
                without any gets NaN, which LightGBM treats as missing.

        Returns:
            One score a row, in the order of the rows; only the order within a query has meaning.

        Raises:
            FlywheelError: a column is missing or not numeric.
        """
        rows = _as_table(table)
        looked_up = self.behavior_features if self.behavior is not None else ()
        sources = {
            name: _source_column(name, rows) for name in self.features if name not in looked_up
        }
        _require(rows, ("query", "doc_id", *sources.values()), "The feature table")
        if rows.num_rows == 0:
            return np.empty(0)
        matrix = np.empty((rows.num_rows, len(self.features)))
        position = self._behavior_positions(rows) if looked_up else None
        for column, name in enumerate(self.features):
            if position is not None and name in looked_up:
                values = pc.take(self.behavior[name].combine_chunks(), position)
            else:
                values = rows[sources[name]]
            matrix[:, column] = _numbers(values, name)
        return np.asarray(self.booster.predict(matrix), dtype=np.float64)

    def rank(self, query: str, features: FeatureTable) -> list[str]:
        """Order one query's candidates.

        Args:
            query: as the user typed it.
            features: `doc_id` and the caller's feature columns, one row a candidate.

        Returns:
            Document ids, best first; equal scores keep the caller's order.
        """
        rows = _as_table(features)
        _require(rows, ("doc_id",), "The feature table")
        if "query" in rows.column_names:
            rows = rows.drop_columns(["query"])
        rows = rows.append_column("query", pa.array([query] * rows.num_rows, pa.string()))
        best_first = np.argsort(-self.score_table(rows), kind="stable")
        return pc.cast(rows["doc_id"], pa.string()).take(pa.array(best_first)).to_pylist()

    def _behavior_positions(self, rows: pa.Table) -> pa.Array:
        """Row of `behavior` for each row: of the pair, else of the document alone, else null."""
        pairs = pc.index_in(_keys(rows), value_set=self._behavior_keys, skip_nulls=True)
        alone = pc.index_in(_documents(rows), value_set=self._document_keys, skip_nulls=True)
        return pc.coalesce(pairs, alone.combine_chunks())


@dataclass(frozen=True)
class Arm:
    """One side of a deployment.

    Attributes:
        model_version: what is logged with every search this arm serves.
        ranker: None means the caller's own production order.
        share: share of the users, in [0, 1].
    """

    model_version: str
    ranker: Ranker | None
    share: float


@dataclass(frozen=True)
class Deployment:
    """What a manifest says, with its models loaded and verified."""

    deployment_id: str
    salt: str
    champion: Arm
    canary: Arm | None = None
    unit: str = "user_id"

    @property
    def arms(self) -> dict[str, Arm]:
        """The arms by variant name."""
        arms = {"champion": self.champion}
        if self.canary is not None:
            arms["canary"] = self.canary
        return arms


def load_deployment(path: str | Path) -> Deployment:
    """Read a deployment manifest and load its models.

    Every file's SHA-256 is checked on the very bytes that are then used, and a model is parsed
    from LightGBM's text format, so that a manifest cannot make this process run code.

    Args:
        path: the manifest; the files it names are relative to its folder.

    Raises:
        FlywheelError: the manifest or a file is missing, malformed, or not the one described.
    """
    path = Path(path)
    try:
        manifest = json.loads(path.read_bytes())
    except OSError as error:
        raise FlywheelError(
            f"There is no deployment manifest at {path}; deploy a model first."
        ) from error
    except ValueError as error:
        raise FlywheelError(f"The deployment manifest {path} is not JSON; deploy again.") from error
    if not isinstance(manifest, dict) or manifest.get("manifest_version") != MANIFEST_VERSION:
        raise FlywheelError(
            f"The deployment manifest {path} is not of version {MANIFEST_VERSION}; "
            "deploy again with this version of the flywheel."
        )
    try:
        canary = manifest.get("canary")
        share = 0.0 if canary is None else float(canary["share"])
        if not 0.0 <= share <= 1.0:
            raise FlywheelError(
                f"The deployment manifest {path} gives the canary a share of {share}; "
                "a share lies between 0 and 1."
            )
        return Deployment(
            deployment_id=str(manifest["deployment_id"]),
            salt=str(manifest["salt"]),
            unit=str(manifest.get("unit", "user_id")),
            champion=_load_arm(manifest["champion"], 1.0 - share, path.parent),
            canary=None if canary is None else _load_arm(canary, share, path.parent),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FlywheelError(
            f"The deployment manifest {path} lacks or garbles a field ({error}); deploy again."
        ) from error


def load_ranker(model_version: str, files: Mapping[str, Any], folder: str | Path) -> Ranker:
    """Load one model version.

    Args:
        model_version: the registered version, for messages and logs.
        files: `model`, `features` and, where the model reads behaviour, `behavior`; each a mapping
            of `path` (relative to `folder`) and `sha256`.
        folder: where the manifest stands.

    Raises:
        FlywheelError: a file is missing, differs from its sha256, or cannot be read.
    """
    contents = {
        name: _verified(model_version, entry, Path(folder))
        for name, entry in files.items()
        if entry is not None
    }
    try:
        names = json.loads(contents["features"])
        behavior_features = tuple(names.get("behavior_features", ()))
        features = tuple(dict.fromkeys((*names["features"], *behavior_features)))
        booster = lightgbm.Booster(model_str=contents["model"].decode())
        behavior = None
        if "behavior" in contents:
            behavior = pq.read_table(pa.BufferReader(contents["behavior"]))
    except (KeyError, TypeError, ValueError, lightgbm.basic.LightGBMError, pa.ArrowException) as e:
        reason = (str(e).splitlines() or [type(e).__name__])[0]
        raise FlywheelError(
            f"The files of model {model_version} in {folder} cannot be read ({reason}); "
            "train or restore that version again."
        ) from e
    return Ranker(model_version, booster, features, behavior_features, behavior)


def assignment_bucket(salt: str, user_id: str) -> int:
    """Bucket of a visitor, 0 to 9999.

    The first eight hexadecimal digits of md5(salt-user_id), modulo 10,000: Eppo's sharder
    (Eppo-exp/js-client-sdk-common), so that every language and every SQL engine can repeat it.
    """
    digest = hashlib.md5(f"{salt}-{user_id}".encode(), usedforsecurity=False).hexdigest()
    return int(digest[:8], 16) % BUCKETS


def assign(deployment: Deployment, user_ids: Iterable[str]) -> npt.NDArray[np.str_]:
    """Which arm serves each visitor.

    Args:
        deployment: its canary share may grow without moving anyone out of the canary.
        user_ids: visitor identities.

    Returns:
        'champion' or 'canary', one a visitor, in order.
    """
    ids = list(user_ids)
    if deployment.canary is None:
        return np.full(len(ids), "champion")
    # Half goes up, as in SQL; Python's round() would go to the even number.
    limit = math.floor(deployment.canary.share * BUCKETS + 0.5)
    in_canary = [assignment_bucket(deployment.salt, user_id) < limit for user_id in ids]
    return np.where(np.array(in_canary, dtype=bool), "canary", "champion")


def normalize_queries(queries: npt.ArrayLike | pa.Array | pa.ChunkedArray) -> pa.Array:
    """Lower-case, collapse whitespace and trim: the key on which behaviour is joined.

    The same as the warehouse's macro `normalize_query`, character for character.
    """
    if not isinstance(queries, pa.Array | pa.ChunkedArray):
        queries = pa.array(queries)
    text = pc.replace_substring_regex(pc.cast(queries, pa.string()), r"\s+", " ")
    text = pc.utf8_lower(pc.utf8_trim(text, _SPACES))
    return text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text


def _load_arm(entry: Mapping[str, Any], share: float, folder: Path) -> Arm:
    version = str(entry["model_version"])
    files = entry.get("files")
    if files is None:
        if version != LOGGED:
            raise FlywheelError(
                f"The deployment manifest in {folder} names no files for model {version}; "
                "deploy again."
            )
        return Arm(version, None, share)
    return Arm(version, load_ranker(version, files, folder), share)


def _verified(model_version: str, entry: Mapping[str, str], folder: Path) -> bytes:
    relative = PurePosixPath(entry["path"])
    if relative.is_absolute() or ".." in relative.parts:
        raise FlywheelError(
            f"Model {model_version} names the file {relative}, which lies outside {folder}; "
            "deploy again."
        )
    path = folder / relative
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FlywheelError(
            f"Model {model_version} needs the file {path}, which cannot be read; "
            "restore it, or roll back."
        ) from error
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise FlywheelError(
            f"The file {path} is not the one that model {model_version} was deployed with "
            "(its SHA-256 differs); restore it, or roll back."
        )
    return content


def _as_table(table: FeatureTable) -> pa.Table:
    if isinstance(table, pa.Table):
        return table
    return pa.table({name: pa.array(np.asarray(values)) for name, values in table.items()})


def _source_column(name: str, table: pa.Table) -> str:
    """The caller's column behind a model's input: the warehouse puts `f_` before its name."""
    own = name.removeprefix("f_")
    return own if own in table.column_names else name


def _require(table: pa.Table, names: Iterable[str], what: str) -> None:
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise FlywheelError(f"{what} lacks the column(s) {', '.join(missing)}; add them.")


def _keys(table: pa.Table) -> pa.Array:
    keys = pc.binary_join_element_wise(
        normalize_queries(table["query"]),
        _documents(table).combine_chunks(),
        _SEPARATOR,
    )
    return keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys


def _documents(table: pa.Table) -> pa.ChunkedArray:
    return pc.cast(table["doc_id"], pa.string())


def _numbers(values: pa.Array | pa.ChunkedArray, name: str) -> npt.NDArray[np.float64]:
    try:
        numbers = pc.cast(values, pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise FlywheelError(
            f"The feature {name} is {values.type}, not a number; cast it in the feature file."
        ) from error
    return np.asarray(numbers.to_numpy(zero_copy_only=False), dtype=np.float64)
