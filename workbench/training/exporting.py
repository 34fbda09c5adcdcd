"""Trained weights out of a run: safetensors, a config.json and the tokenizer, in one folder.

docs/export.md has a reader of such a folder in plain torch.
"""

import json
import os
import shutil
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.distributed import checkpoint as dcp

from workbench.data import PreparedData
from workbench.data.tokenizers import load_tokenizer
from workbench.errors import InputError, WorkbenchError
from workbench.recipe import ModelConfig, RunConfig
from workbench.runs import RunFolder
from workbench.training import titan_patches
from workbench.training.checkpoints import saved_steps
from workbench.training.model import model_config
from workbench.training.objectives import OBJECTIVES

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
        InputError: no such checkpoint or tokenizer, or the folder holds something.
        WorkbenchError: a damaged checkpoint, or a disk that cannot be written.
    """
    document = run.config_json()
    if run.is_imported():
        raise InputError(f"run {run.run_id}: its numbers were imported; it has no weights here.")
    config = RunConfig.model_validate(document["config"])
    if OBJECTIVES[config.training.objective].doubled:
        raise InputError(
            f"run {run.run_id}: its network reads two streams of tokens, as the objective "
            f"{config.training.objective} does: such models cannot be exported yet."
        )
    prepared = PreparedData.open(run.path.parent.parent / document["data"]["folder"])
    chosen = _checkpoint(run, step)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out {out}: is there already. Give a folder that is not.")
    model = build_model(config.model, seq_len=config.data.seq_len, causal=_causal(config))
    load_weights(model, run.checkpoint_dir / f"step-{chosen}")
    weights = {name: value.to(DTYPES[dtype]) for name, value in model.state_dict().items()}
    if config.model.tied:
        for name in _TIED:
            del weights[name]
    description = _description(run, document, config, prepared, chosen, dtype)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(prefix=f".{out.name}-", dir=out.parent))
        try:
            building.chmod(0o755)
            save_file(weights, building / "model.safetensors", metadata={"format": "pt"})
            (building / "config.json").write_text(json.dumps(description, indent=2) + "\n")
            _write_tokenizer(config, prepared, building)
            if out.is_dir():
                out.rmdir()
            os.rename(building, out)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    except OSError as error:
        raise WorkbenchError(f"{out}: cannot be written: {error.strerror}.") from error
    return chosen


def _checkpoint(run: RunFolder, step: int | None) -> int:
    steps = saved_steps(run.checkpoint_dir)
    if not steps:
        raise InputError(
            f"run {run.run_id} is {run.status().state} and has no checkpoint: nothing to export."
        )
    if step is not None and step not in steps:
        raise InputError(
            f"--step {step}: run {run.run_id} has checkpoints of steps "
            f"{', '.join(map(str, steps))}."
        )
    return steps[-1] if step is None else step


def _causal(config: RunConfig) -> bool:
    return OBJECTIVES[config.training.objective].causal


def build_model(model: ModelConfig, *, seq_len: int, causal: bool) -> nn.Module:
    """The network on the host, its weights not yet set, ready to evaluate."""
    titan_patches.use_device("cpu")
    built: Any = model_config(model, seq_len=seq_len, causal=causal).build()
    with torch.no_grad():
        built.init_states()
    network: nn.Module = built.eval()
    return network


def load_weights(model: nn.Module, folder: Path) -> None:
    """Fill a whole model from a distributed checkpoint, without a process group.

    Raises:
        WorkbenchError: the checkpoint is damaged, or of another model.
    """
    state: dict[str, Tensor] = model.state_dict()
    try:
        dcp.load(state, checkpoint_id=folder, no_dist=True)
    except (Exception, dcp.api.CheckpointException) as error:
        raise WorkbenchError(f"{folder}: cannot be read ({error}).") from error
    model.load_state_dict(state)


def _description(
    run: RunFolder,
    document: dict[str, Any],
    config: RunConfig,
    prepared: PreparedData,
    step: int,
    dtype: str,
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "architecture": asdict(config.model.shape)
        | {
            "norm_eps": config.model.norm_eps,
            "rope_theta": config.model.rope_theta,
            "causal": _causal(config),
        },
        "objective": config.training.objective,
        "seq_len": config.data.seq_len,
        "vocabulary": asdict(prepared.vocab),
        "dtype": dtype,
        "run_id": run.run_id,
        "step": step,
        "tokens": step * config.tokens_per_step,
        "parent": document.get("parent"),
        "data_fingerprint": document["data"]["fingerprint"],
        "config": config.model_dump(mode="json"),
    }


def _write_tokenizer(config: RunConfig, prepared: PreparedData, folder: Path) -> None:
    spec = config.data.tokenizer
    tokenizer = load_tokenizer(spec)
    if tokenizer.identity != prepared.manifest["tokenizer"]:
        raise InputError(
            f"data.tokenizer = {spec}: has changed since the run's data was made. Put the old "
            "file back."
        )
    path = folder / "tokenizer.json"
    if spec != "bytes":
        shutil.copyfile(spec, path)
        return
    text = {
        "type": "bytes",
        "description": "The ids are UTF-8 bytes. Byte 0 ends a document.",
        **asdict(prepared.vocab),
    }
    path.write_text(json.dumps(text, indent=2) + "\n")


def load_exported(folder: Path) -> nn.Module:
    """The network of an exported folder, in our own class.

    Raises:
        InputError: not such a folder.
    """
    try:
        description = json.loads((folder / "config.json").read_text())
        weights = load_file(folder / "model.safetensors")
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: not an exported model ({error}).") from None
    if description.get("format") != FORMAT:
        raise InputError(f"{folder}: of format {description.get('format')!r}, expected {FORMAT}.")
    model = build_model(
        ModelConfig.model_validate(description["config"]["model"]),
        seq_len=description["seq_len"],
        causal=description["architecture"]["causal"],
    )
    if description["architecture"]["tied"]:
        weights |= {name: weights[source] for name, source in _TIED.items()}
    model.to(DTYPES[description["dtype"]]).load_state_dict(weights)
    return model
