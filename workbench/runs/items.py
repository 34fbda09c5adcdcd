"""What an evaluation's number is made of: one row for each window or question, beside the run.

`results/runs/<run_id>/items/` holds Parquet files: `training.parquet` of what training measured
along the way, and one for each number that `workbench eval` measured later. From them come standard
errors over documents, differences of two runs on the same windows, and early stopping that is
chosen on one half of the documents and reported on the other.
"""

import hashlib
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from workbench.errors import WorkbenchError
from workbench.runs.files import plain_file, plain_path, replacing
from workbench.runs.tables import read_parquet

Floats = NDArray[np.float64]

SCHEMA = pl.Schema(
    {
        "step": pl.Int64,
        "metric": pl.String,
        "estimator": pl.String,
        "draws": pl.Int32,
        "item": pl.Int32,
        "document": pl.Int32,
        "total": pl.Float32,
        "count": pl.Float32,
        "weight": pl.Float32,
        "noise_variance": pl.Float32,
    }
)
_KEY = ["step", "metric", "estimator", "draws"]
TRAINING = "training.parquet"


@dataclass(frozen=True)
class Items:
    """The N windows or questions of one evaluation of one metric."""

    document_N: NDArray[np.int64]
    """The text that each comes from: items of one document are not independent."""
    total_N: Floats
    """Summed over the item's tokens: nats of a window; 1 of a question answered right."""
    count_N: Floats
    """What the total is summed over: tokens of a window, 1 of a question."""
    weight_N: Floats
    """How often each item counts. The metric is sum(weight * total) / sum(weight * count)."""
    noise_variance_N: Floats | None = None
    """Variance of each total that comes from noise draws; None where the number is exact."""

    @property
    def value(self) -> float:
        """The metric."""
        return float(self.weight_N @ self.total_N / (self.weight_N @ self.count_N))

    @property
    def documents(self) -> int:
        """How many documents the items come from."""
        return len(np.unique(self.document_N))

    @property
    def stderr(self) -> float | None:
        """The value's standard error over documents, noise included; None for a single document.

        Of a ratio of sums over documents, linearised (Cochran 1977, section 9A.4).
        """
        documents, place_N = np.unique(self.document_N, return_inverse=True)
        n = len(documents)
        if n < 2:
            return None
        influence_N = self.weight_N * (self.total_N - self.value * self.count_N)
        influence_J = np.bincount(place_N, weights=influence_N)
        variance = n / (n - 1) * float(influence_J @ influence_J)
        return math.sqrt(variance) / float(self.weight_N @ self.count_N)

    @property
    def noise_stderr(self) -> float | None:
        """The part of the standard error that comes from noise draws; None where there is none."""
        if self.noise_variance_N is None:
            return None
        variance = float(self.weight_N**2 @ self.noise_variance_N)
        return math.sqrt(variance) / float(self.weight_N @ self.count_N)

    def frame(self, step: int, metric: str, estimator: str, draws: int | None) -> pl.DataFrame:
        """The rows of `SCHEMA` for one evaluation."""
        n = len(self.total_N)
        noise = self.noise_variance_N
        columns = {
            "step": [step] * n,
            "metric": [metric] * n,
            "estimator": [estimator] * n,
            "draws": [draws] * n,
            "item": np.arange(n),
            "document": self.document_N,
            "total": self.total_N,
            "count": self.count_N,
            "weight": self.weight_N,
            "noise_variance": [None] * n if noise is None else noise,
        }
        return pl.DataFrame(columns).cast(dict(SCHEMA))  # type: ignore[arg-type]


def items_of(rows: pl.DataFrame) -> Items:
    """The items of one evaluation from its rows of `SCHEMA`."""
    rows = rows.sort("item")

    def floats(name: str) -> Floats:
        return rows[name].cast(pl.Float64).to_numpy()

    noise = None if rows["noise_variance"].null_count() else floats("noise_variance")
    document_N = rows["document"].cast(pl.Int64).to_numpy()
    return Items(document_N, floats("total"), floats("count"), floats("weight"), noise)


class ItemsFile:
    """`training.parquet` of a run: written whole at each evaluation, in one step.

    A resumed run measures again what came after its checkpoint; those rows replace the old ones.
    """

    def __init__(self, folder: Path) -> None:
        """Take what an earlier start of the run has written."""
        self.path = folder / TRAINING
        self._frames: dict[tuple[object, ...], pl.DataFrame] = {}
        for frame in _readable(self.path):
            for key, rows in frame.partition_by(_KEY, as_dict=True, include_key=True).items():
                self._frames[key] = rows

    def add(self, frame: pl.DataFrame) -> None:
        """Add the rows of one evaluation, or replace those of the same step."""
        self._frames[tuple(frame.select(_KEY).row(0))] = frame

    def write(self) -> None:
        """Write the file.

        Raises:
            WorkbenchError: it cannot be written, as on a full disk.
        """
        if self._frames:
            _write(self.path, pl.concat(self._frames.values()))


def copy_items(source: Path, target: Path, last_step: int) -> None:
    """Copy what training has measured up to a step, for a run that goes on from there."""
    for frame in _readable(source / TRAINING):
        _write(target / TRAINING, frame.filter(pl.col("step") <= last_step))


def write_evaluated(folder: Path, frame: pl.DataFrame) -> None:
    """Write the rows of one number that was measured after training; the same one again replaces
    them.

    Raises:
        WorkbenchError: the file cannot be written.
    """
    step, *names = frame.select(_KEY).row(0)
    digest = hashlib.sha256("\n".join(map(str, names)).encode()).hexdigest()[:12]
    _write(folder / f"step-{step}-{digest}.parquet", frame)


def _write(path: Path, frame: pl.DataFrame) -> None:
    # In memory first: of a full disk Polars does not always say that it is full.
    content = io.BytesIO()
    frame.write_parquet(content, compression="zstd", compression_level=9)
    try:
        path.parent.mkdir(exist_ok=True)
        with (
            replacing(path) as temporary,
            open(temporary, "wb", opener=plain_file) as file,
        ):
            file.write(content.getbuffer())
    except OSError as error:
        raise WorkbenchError(f"{path}: cannot be written: {error.strerror}.") from error


_NONE = pl.DataFrame(schema=SCHEMA)


def item_files(folder: Path) -> list[Path]:
    """The Parquet files of a run's `items/`, those of training first; none where it has none."""
    paths = folder.glob("*.parquet") if folder.is_dir() else ()
    return sorted(paths, key=lambda path: (path.name != TRAINING, path.name))


def read_items(folder: Path, metrics: Iterable[str] | None = None) -> pl.DataFrame:
    """The rows of some metrics of a run, or of all; none where it has none.

    A number that was measured again after training, in the same way, is there once, as in the
    store: the later one. Damaged files are left out: their numbers are in the records all the same,
    without what they are made of.
    """
    frames = [frame for path in item_files(folder) for frame in _readable(path)]
    if not frames:
        return _NONE
    if metrics is not None:
        wanted = pl.col("metric").is_in(list(metrics))
        frames = [frame.filter(wanted) for frame in frames]
    return pl.concat(frames).unique([*_KEY, "item"], keep="last", maintain_order=True)


def _readable(path: Path) -> list[pl.DataFrame]:
    try:
        frame = read_parquet(plain_path(path))
        return [frame.select(SCHEMA.names()).cast(dict(SCHEMA))]  # type: ignore[arg-type]
    except (OSError, pl.exceptions.PolarsError):
        return []
