"""The study that imported runs belong to: its file, and how its runs are paired."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from workbench.errors import InputError
from workbench.recipe.models import StudyConfig
from workbench.recipe.objectives import BASELINE, CHALLENGER
from workbench.recipe.sweep import dotted
from workbench.runs.files import write_json
from workbench.runs.folder import RunFolder
from workbench.runs.studies import imported_runs
from workbench.runs.studies import read_study as study_file

_ALWAYS_SHARED = ("n_params", "data.unique_tokens")
_NEVER_SHARED = ("training.objective", "training.seed", "model.size", "model.mask_id")
_MODEL = "labels.model"


def check_name(study: str | None) -> str:
    """The name of a study, checked.

    Raises:
        InputError: there is no name, or no study can have it.
    """
    if study is None:
        raise InputError("--study is missing: name the study that the runs belong to.")
    try:
        return StudyConfig(name=study).name
    except ValidationError:
        raise InputError(
            f"--study {study}: expected at most 100 letters, digits, '.', '_' and '-', beginning "
            "with neither '.' nor '-', and not a run's id."
        ) from None


def study_path(results: Path, study: str) -> Path:
    return results / "studies" / f"{study}.json"


def read_study(results: Path, study: str) -> dict[str, Any] | None:
    """The study's document on disk, or None.

    Raises:
        InputError: the file is not a study.
    """
    path = study_path(results, study)
    try:
        return study_file(path)
    except FileNotFoundError:
        return None
    except InputError as error:
        raise InputError(f"{error} Move it away and import again.") from None


def join_study(
    results: Path, study: str, run_ids: list[str], question: str, source: str
) -> list[str]:
    """Add imported runs to a study, which is created if needed. A recipe's entries stay.

    Args:
        question: what a new study asks.
        source: where a new study's runs come from.

    Returns:
        Notes on how the runs are paired.
    """
    before = read_study(results, study)
    document = before or {"name": study, "question": question, "source": source, "recipe": ""}
    document["run_ids"] = list(dict.fromkeys([*document.get("run_ids", []), *run_ids]))
    notes: list[str] = []
    if not document.get("recipe"):  # no recipe says how its runs are paired
        known = imported_runs(results, study) if before else []
        configs = _configs(results, dict.fromkeys([*known, *run_ids]))
        match, notes = pairing(configs)
        document["compare"] = {"baseline": BASELINE, "challenger": CHALLENGER, "match": match}
    study_path(results, study).parent.mkdir(parents=True, exist_ok=True)
    if document != read_study(results, study):
        write_json(study_path(results, study), document)
    return notes


def _configs(results: Path, run_ids: Iterable[str]) -> list[dict[str, Any]]:
    configs = []
    for run_id in run_ids:
        document = RunFolder(results / "runs" / run_id).config_json()
        keys = dotted(document["config"])
        configs.append({**keys, "n_params": document["derived"]["n_params"]})
    if any(str(config.get(_MODEL)).startswith("hf:") for config in configs):
        # Checkpoints that were measured here: a name says which one it is, and however many of a
        # size there are, each is compared with all of the other objective.
        for config in configs:
            config.pop(_MODEL, None)
    return configs


def pairing(configs: list[dict[str, Any]]) -> tuple[list[str], list[str]]:
    """The keys that an AR run and the diffusion run beside it share, and notes.

    A key of which the two objectives have no value in common, such as the name of the run, makes no
    pairs. It is left out, unless several runs of one objective could then not be distinguished.
    """
    match = sorted({key for config in configs for key in config} - set(_NEVER_SHARED))
    notes = []
    for key in [key for key in match if key not in _ALWAYS_SHARED]:
        ours, theirs = (_values(configs, key, side) for side in (BASELINE, CHALLENGER))
        if not ours or not theirs or ours & theirs:
            continue
        never = f"{key} is never the same for {BASELINE} and {CHALLENGER}"
        without = [name for name in match if name != key]
        groups = {_group_of(config, without) for config in configs}
        if len(groups) == len({_group_of(config, match) for config in configs}):
            match = without
            notes.append(f"{never}: runs are paired without it.")
        else:
            notes.append(f"{never}: their runs make no pairs.")
    return match, notes


def _values(configs: list[dict[str, Any]], key: str, objective: str) -> set[Any]:
    return {c.get(key) for c in configs if c.get("training.objective") == objective}


def _group_of(config: dict[str, Any], keys: list[str]) -> tuple[Any, ...]:
    return tuple(config.get(key) for key in ("training.objective", "training.seed", *keys))
