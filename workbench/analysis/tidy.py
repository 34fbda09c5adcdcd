"""A study's runs and curves as tidy frames, with every key in which the runs differ."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import polars as pl

from workbench.analysis.curves import Curve, StudyCurves, run_keys
from workbench.analysis.run_keys import ALWAYS_NAMED, SEEDS, varying_keys
from workbench.metrics import higher_is_better

OBJECTIVE = "training.objective"
_RESERVED = (
    "run_id", "seed", "state", "metric", "step", "tokens", "epoch", "flops", "value", "stderr",
    "estimator", "best", "best_step", "best_tokens", "last", "last_step", "last_tokens",
)  # fmt: skip
_POINT = {
    "metric": pl.String, "step": pl.Int64, "tokens": pl.Int64, "epoch": pl.Float64,
    "flops": pl.Float64, "value": pl.Float64, "stderr": pl.Float64, "estimator": pl.String,
}  # fmt: skip


def curves_frame(loaded: Sequence[StudyCurves]) -> pl.DataFrame:
    """Every point of curves, one row each: `run_id`, `seed`, `objective`, `unique_tokens`,
    `n_params` and whatever other key differs; then `metric`, `step`, `tokens`, `epoch`, `flops`,
    `value`, `stderr`, `estimator`, null where nothing is known.

    Args:
        loaded: a study's curves, of one metric each.
    """
    curves = [(one.metric, curve) for one in loaded for curve in one.curves]
    known = _key_columns({curve.run_id: curve.keys for _, curve in curves})
    points = pl.concat([_points(metric, curve) for metric, curve in curves])
    return known.join(points, on="run_id", maintain_order="left_right")


def _points(metric: str, curve: Curve) -> pl.DataFrame:
    columns = {
        "step": curve.steps, "tokens": curve.x["tokens"], "epoch": curve.x["epochs"],
        "flops": curve.x["flops"], "value": curve.y, "stderr": curve.stderr,
    }  # fmt: skip
    frame = pl.DataFrame(columns, nan_to_null=True).with_columns(
        run_id=pl.lit(curve.run_id), metric=pl.lit(metric), estimator=pl.lit(curve.estimator)
    )
    return frame.select("run_id", *(pl.col(name).cast(kind) for name, kind in _POINT.items()))


def runs_frame(rows: Sequence[dict[str, Any]], loaded: StudyCurves | None) -> pl.DataFrame:
    """A study's runs, one row each: `run_id`, `seed`, `objective`, `unique_tokens`, `n_params` and
    whatever other key differs; `total_tokens`, `epochs`, `train_flops`, `state`; and the best and
    the last value of a metric, with the step and the tokens of either.

    Args:
        rows: of `curves.run_rows`.
        loaded: the curves of the metric; None where none was measured, or is wanted.
    """
    known = _key_columns({str(row["run_id"]): run_keys(row) for row in rows})
    names = ("total_tokens", "epochs", "train_flops", "state")
    plain = [name for name in names if name not in known.columns]
    frame = pl.DataFrame(
        [{"run_id": str(row["run_id"])} | {name: row[name] for name in plain} for row in rows],
        schema_overrides={"run_id": pl.String},
        infer_schema_length=None,
    )
    frame = known.join(frame, on="run_id", how="left", maintain_order="left")
    if loaded is None:
        return frame
    ends = [_ends(curve, higher=higher_is_better(loaded.metric)) for curve in loaded.curves]
    return frame.join(pl.DataFrame(ends), on="run_id", how="left", maintain_order="left")


def _ends(curve: Curve, *, higher: bool) -> dict[str, Any]:
    """A curve's best and last point."""
    found: dict[str, Any] = {"run_id": curve.run_id}
    for name, at in (("best", int((curve.y if higher else -curve.y).argmax())), ("last", -1)):
        step = curve.steps[at]
        found |= {
            name: float(curve.y[at]),
            f"{name}_step": int(step) if step == step else None,
            f"{name}_tokens": int(curve.x["tokens"][at]),
        }
    return found


def _key_columns(configurations: dict[str, dict[str, Any]]) -> pl.DataFrame:
    """Runs with the keys that differ among them, a row each, by size, unique tokens and seed.

    Args:
        configurations: by run id, dotted keys.
    """
    keys = list(configurations.values())
    varying = [key for key in varying_keys(keys) if key not in (*SEEDS, OBJECTIVE, *ALWAYS_NAMED)]
    named = [OBJECTIVE, *ALWAYS_NAMED, *varying]
    own_seed = any(_seed(one) != one.get("data.seed", _seed(one)) for one in keys)
    names = column_names(named, reserved=_RESERVED)
    columns: dict[str, Any] = {
        "run_id": pl.Series(list(configurations), dtype=pl.String),
        "seed": pl.Series([_seed(one) for one in keys], dtype=pl.Int64),
    }
    if own_seed:  # the text is drawn by another seed than the weights are
        columns["data_seed"] = pl.Series([one.get("data.seed") for one in keys], dtype=pl.Int64)
    for key in named:
        columns[names[key]] = _series([one.get(key) for one in keys])
    order = ["n_params", "unique_tokens", "objective", *map(names.get, varying), "seed", "run_id"]
    return pl.DataFrame(columns).sort([str(name) for name in order], nulls_last=True)


def _seed(keys: dict[str, Any]) -> Any:
    return keys.get("training.seed")


def column_names(keys: Sequence[str], reserved: Sequence[str] = ()) -> dict[str, str]:
    """By dotted key, a name without a dot, which plotting libraries take for a path: `lr` of
    `training.lr`; `data_seed` where another key, or a reserved name, is called the same."""
    last = {key: key.rpartition(".")[2] for key in keys}
    count = Counter([*last.values(), *reserved])
    return {key: name if count[name] == 1 else key.replace(".", "_") for key, name in last.items()}


def _series(values: list[Any]) -> pl.Series:
    """Values as a column: of lists and tables, and of values of several kinds, the JSON text."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, float} or (len(kinds) == 1 and kinds <= {bool, str}):
        return pl.Series(values, strict=False)
    return pl.Series(
        [v if isinstance(v, str) or v is None else json.dumps(v) for v in values], dtype=pl.String
    )
