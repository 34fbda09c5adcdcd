"""TensorBoard event folders as points: each folder is a run, described by its name."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from workbench.errors import InputError
from workbench.importing.columns import KNOWN, NUMBERS, literal
from workbench.importing.events import Events, find_folders, read_folder
from workbench.importing.points import Points, negative_losses
from workbench.importing.run_names import FORM, RunName, parse_name
from workbench.importing.tags import Tags, assign_tags
from workbench.messages import suggestion

_CONSTANTS = ("n_params", "seed", "tokens_per_step", "tokens_per_sample")


def read_events(source: Path, wanted: Mapping[str, str]) -> Points:
    """Read every run below a folder.

    The tokens of a point come from the run's own count where it logged one, else from
    `tokens_per_step`, else from its last step, which is taken for the end of the run in its name.

    Args:
        wanted: a metric's name -> its tag, `total_tokens` -> the tag that counts tokens; or
            n_params, seed, tokens_per_step, tokens_per_sample -> a number.

    Raises:
        InputError: there are no event files, or names, tags or values cannot be used.
    """
    constants, tags = _split(wanted)
    folders = find_folders(source)
    names = _names(source, folders, constants)
    frames, files, notes = [], {}, []
    guessed, not_finite = [], 0
    found_tags: set[str] = set()
    for folder in folders:
        events = read_folder(folder)
        notes += events.notes
        files[_relative(source, folder)] = events.files
        found_tags |= set(events.scalars)
        chosen = assign_tags(str(folder), list(events.scalars), tags)
        notes += chosen.notes
        frame, ended = _frame(events, chosen, names[folder], constants)
        if ended:
            guessed.append(_relative(source, folder))
        finite = frame.filter(pl.col("value").is_finite())
        not_finite += frame.height - finite.height
        _check_losses(folder, finite)
        if finite.is_empty():
            notes.append(f"{_relative(source, folder)} holds no scalars and is left out.")
        frames.append(finite)
    _check_wanted(source, tags, found_tags)
    if not_finite:
        notes.append(f"values that are not finite are left out: {not_finite:,}.")
    provenance: dict[str, Any] = {
        "source": {"file": source.resolve().name, "events": files},
        "columns": dict(wanted),
    }
    if guessed:
        explanation = (
            "tokens are counted back from the last step, taken for the end that the run's name "
            "tells; a run that was cut short is misplaced. --column tokens_per_step=N is exact"
        )
        provenance["tokens"] = {"said": explanation, "runs": guessed}
        notes.append(f"{len(guessed)} of {len(folders)} runs: {explanation}.")
    return _points(source, frames, names, provenance, list(dict.fromkeys(notes)))


def _split(wanted: Mapping[str, str]) -> tuple[dict[str, float], dict[str, str]]:
    constants, tags = {}, {}
    for ours, theirs in wanted.items():
        number = literal(theirs)
        if ours in _CONSTANTS:
            whole = number is not None and math.isfinite(number) and number == int(number)
            if number is None or not whole or number < (0 if ours == "seed" else 1):
                raise InputError(f"--column {ours}={theirs}: expected a whole number.")
            constants[ours] = number
        elif ours in KNOWN and ours != "total_tokens":
            raise InputError(
                f"--column {ours}={theirs}: event files have no columns. Give a number for "
                f"{', '.join(_CONSTANTS)}, or the tag of total_tokens or of a metric."
            )
        else:
            tags[ours] = theirs
    return constants, tags


def _relative(source: Path, folder: Path) -> str:
    """A run's name: its folder relative to the source, or the source's own name."""
    return source.resolve().name if folder == source else folder.relative_to(source).as_posix()


def _names(
    source: Path, folders: list[Path], constants: Mapping[str, float]
) -> dict[Path, RunName]:
    names = {folder: parse_name(_relative(source, folder)) for folder in folders}
    wrong = [_relative(source, folder) for folder, name in names.items() if name is None]
    if wrong:
        raise InputError(
            f"{source}: folders whose names do not describe a run: {_first_names(wrong)}. "
            f"Expected {FORM}. Rename them, or import from a folder that holds only such runs."
        )
    known = {folder: name for folder, name in names.items() if name is not None}
    first: dict[str, Path] = {}
    for folder, name in known.items():
        other = first.setdefault(repr(name).lower(), folder)
        if other != folder:
            raise InputError(
                f"{source}: {_relative(source, other)} and {_relative(source, folder)} describe "
                "the same run. Add a tag to the name of one of them."
            )
    sizeless = [_relative(source, f) for f, name in known.items() if name.n_params is None]
    if sizeless and "n_params" not in constants:
        raise InputError(
            f"{source}: names without a model size: {_first_names(sizeless)}. Give the number of "
            "parameters, such as --column n_params=1e9."
        )
    return known


def _first_names(names: list[str]) -> str:
    rest = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + rest


def _check_wanted(source: Path, tags: Mapping[str, str], known: set[str]) -> None:
    for ours, theirs in tags.items():
        if theirs not in known:
            raise InputError(
                f"--column {ours}={theirs}: no run in {source} has the tag {theirs}"
                f"{suggestion(theirs, known) or '.'} Tags: {', '.join(sorted(known)) or 'none'}."
            )


def _frame(
    events: Events, chosen: Tags, name: RunName, constants: Mapping[str, float]
) -> tuple[pl.DataFrame, bool]:
    """A run's points, and whether its tokens are counted back from its last step."""
    scalars = {tag: events.scalars[tag] for tag in chosen.metrics}
    rows = [
        (step, chosen.metrics[tag], value)
        for tag, steps in scalars.items()
        for step, (_, value) in sorted(steps.items())
    ]
    schema = {"step": pl.Int64, "metric": pl.String, "value": pl.Float64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    tokens, ended = _tokens(events, chosen, name, constants, frame["step"].to_numpy())
    size: dict[str, Any] = {"n_params": name.n_params or int(constants.get("n_params", 0))}
    keys = {"objective": name.objective, "unique_tokens": name.unique_tokens, "size": name.size}
    keys |= size | name.labels
    if "seed" in constants:
        keys["seed"] = int(constants["seed"])
    return frame.with_columns(
        pl.Series("total_tokens", tokens, dtype=pl.Int64),
        *(pl.lit(value).alias(key) for key, value in keys.items()),
    ), ended


def _tokens(
    events: Events,
    chosen: Tags,
    name: RunName,
    constants: Mapping[str, float],
    steps: "np.ndarray[Any, Any]",
) -> tuple["np.ndarray[Any, Any]", bool]:
    """Tokens seen at each step."""
    if chosen.tokens is not None:
        return _interpolated(events, chosen.tokens, 1.0, steps), False
    if "tokens_per_step" in constants:
        return np.round(steps * constants["tokens_per_step"]).astype(np.int64), False
    if chosen.samples is not None:
        if "tokens_per_sample" in constants:
            return _interpolated(
                events, chosen.samples, constants["tokens_per_sample"], steps
            ), False
        last = max(value for _, value in events.scalars[chosen.samples].values())
        if last > 0:
            return _interpolated(events, chosen.samples, name.total_tokens / last, steps), True
    last_step = max((max(s) for tag, s in events.scalars.items() if tag in chosen.steps), default=0)
    if last_step <= 0 and len(steps):
        raise InputError(
            f"{events.folder}: every event is at step 0, so its tokens are unknown. Give "
            "--column tokens_per_step=N."
        )
    return np.round(steps * (name.total_tokens / max(last_step, 1))).astype(np.int64), True


def _interpolated(
    events: Events, tag: str, scale: float, steps: "np.ndarray[Any, Any]"
) -> "np.ndarray[Any, Any]":
    """A count at any step, linear between the logged ones.

    It starts at 0, and continues after the last logged step at the average pace up to it.
    """
    logged = {0: 0.0} | {step: value for step, (_, value) in events.scalars[tag].items()}
    x = np.array(sorted(logged), dtype=float)
    y = np.array([logged[int(step)] for step in x]) * scale
    if not np.isfinite(y).all() or (np.diff(y) < 0).any():
        raise InputError(f"{events.folder}: the tag {tag} counts tokens or samples, yet it falls.")
    pace = y[-1] / x[-1] if x[-1] > 0 else 0.0
    tokens = np.where(steps > x[-1], y[-1] + (steps - x[-1]) * pace, np.interp(steps, x, y))
    return np.round(tokens).astype(np.int64)


def _check_losses(folder: Path, frame: pl.DataFrame) -> None:
    wrong = frame.filter(negative_losses(frame))
    if not wrong.is_empty():
        row = wrong.row(0, named=True)
        raise InputError(
            f"{folder}: {row['metric']} at step {row['step']} is {row['value']:g}; a loss is "
            "never negative."
        )


def _points(
    source: Path,
    frames: list[pl.DataFrame],
    names: Mapping[Path, RunName],
    provenance: dict[str, Any],
    notes: list[str],
) -> Points:
    frame = pl.concat(frames, how="diagonal_relaxed")
    if frame.is_empty():
        raise InputError(f"{source}: the event files hold no scalars.")
    labels = sorted({label for name in names.values() for label in name.labels})
    columns = []
    for name in (*KNOWN, *labels):
        kind = NUMBERS[name].type if name in NUMBERS else pl.String()
        present = pl.col(name) if name in frame.columns else pl.lit(None)
        columns.append(present.cast(kind).alias(name))
    return Points(frame.select(columns), labels, provenance, notes)
