"""Trained weights out of a run: safetensors, a config.json and the tokenizer, in one folder.

docs/export.md has a reader of such a folder in plain torch.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from workbench.errors import InputError, WorkbenchError
from workbench.recipe import ModelConfig, objective_facts
from workbench.runs.folder import RunFolder
from workbench.runs.unfinished import replace_durably, sweep, unfinished
from workbench.training.trained_model import RunModel, build_model, load_run_model

FORMAT = "workbench-model-1"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_TIED = {"tok_embeddings.weight": "lm_head.weight"}


def export_model(run: RunFolder, out: Path, *, step: int | None = None, dtype: str) -> int:
    """Write a run's weights, from one of its checkpoints, whatever ranks wrote it.

    Args:
        out: the folder to make; it must not be there, or be empty.
        step: which checkpoint; the newest by default.
        dtype: a key of `DTYPES`.

    Returns:
        the step.

    Raises:
        InputError: no such checkpoint or tokenizer, a damaged checkpoint, or the folder holds
            something.
        WorkbenchError: a disk that cannot be written.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out}: is there already. Give a folder that is not.")
    loaded = load_run_model(run, device="cpu", step=step)
    weights = {name: value.to(DTYPES[dtype]) for name, value in loaded.model.state_dict().items()}
    if loaded.config.model.tied:
        for name in _TIED:
            del weights[name]
    description = _description(run, loaded, dtype)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        sweep(out.parent)
        with unfinished(out, folder=True) as building:
            save_file(weights, building / "model.safetensors", metadata={"format": "pt"})
            (building / "config.json").write_text(json.dumps(description, indent=2) + "\n")
            loaded.tokenizer.save(building)
            replace_durably(building, out)  # an empty folder makes place
    except (OSError, SafetensorError) as error:  # safetensors' own is for a full disk
        reason = getattr(error, "strerror", None) or error
        raise WorkbenchError(f"{out}: cannot be written: {reason}.") from error
    return loaded.step


def _description(run: RunFolder, loaded: RunModel, dtype: str) -> dict[str, Any]:
    document, config = run.config_json(), loaded.config
    facts = objective_facts(config.training.objective)
    return {
        "format": FORMAT,
        "architecture": asdict(config.model.shape)
        | {
            "norm_eps": config.model.norm_eps,
            "rope_theta": config.model.rope_theta,
            "causal": facts.causal,
            "streams": facts.streams,
        },
        "objective": config.training.objective,
        "seq_len": config.data.seq_len,
        "vocabulary": asdict(loaded.tokenizer.vocabulary),
        "dtype": dtype,
        "run_id": run.run_id,
        "step": loaded.step,
        "tokens": loaded.step * config.tokens_per_step,
        "parent": document.get("parent"),
        "data_fingerprint": document["data"]["fingerprint"],
        "config": config.model_dump(mode="json"),
    }


def load_exported(folder: Path) -> nn.Module:
    """The network of an exported folder, in our own class.

    Raises:
        InputError: not such a folder.
    """
    try:
        description = json.loads((folder / "config.json").read_text())
        weights = load_file(folder / "model.safetensors")
    except (OSError, ValueError, RecursionError, SafetensorError) as error:
        raise InputError(f"{folder}: not an exported model ({error}).") from None
    if description.get("format") != FORMAT:
        raise InputError(f"{folder}: of format {description.get('format')!r}, expected {FORMAT}.")
    model = build_model(
        ModelConfig.model_validate(description["config"]["model"]),
        seq_len=description["seq_len"],
        causal=description["architecture"]["causal"],
        # Folders from before there were two streams do not have their number.
        doubled=description["architecture"].get("streams", 1) == 2,
    )
    if description["architecture"]["tied"]:
        weights |= {name: weights[source] for name, source in _TIED.items()}
    model.to(DTYPES[description["dtype"]]).load_state_dict(weights)
    return model
