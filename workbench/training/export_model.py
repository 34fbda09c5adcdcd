"""Trained weights out of a run, as a folder that transformers loads, and back into our network."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from workbench.errors import InputError, WorkbenchError
from workbench.metrics import RAW
from workbench.recipe import ModelConfig, objective_facts
from workbench.runs.folder import RunFolder
from workbench.runs.unfinished import replace_durably, sweep, unfinished
from workbench.training.hf_format import MODELLING_FILE, hf_config, hf_weights, our_weights
from workbench.training.hf_tokenizer import save_tokenizer
from workbench.training.model_card import model_card
from workbench.training.trained_model import RunModel, build_model, load_run_model

FORMAT = "workbench-model-2"
_UNREADABLE = (
    OSError, ValueError, RecursionError, SafetensorError,
    TypeError, AttributeError, StopIteration, RuntimeError,  # of values of another type or shape
)  # fmt: skip
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def export_model(
    run: RunFolder, out: str | Path, *, step: int | None = None, dtype: str, weights: str = RAW
) -> int:
    """Write a run's weights, from one of its checkpoints, whatever ranks wrote it, in the format of
    Hugging Face: docs/export.md.

    Args:
        out: the folder to make; it must not be there, or be empty.
        step: which checkpoint; the newest by default.
        dtype: a key of `DTYPES`.
        weights: as in `load_run_model`.

    Returns:
        the step.

    Raises:
        InputError: no such checkpoint or tokenizer, a damaged checkpoint, or the folder holds
            something.
        WorkbenchError: a disk that cannot be written.
    """
    out = Path(out)
    _check_place(out)
    loaded = load_run_model(run, device="cpu", step=step, weights=weights)
    state = {name: value.to(DTYPES[dtype]) for name, value in loaded.model.state_dict().items()}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        sweep(out.parent)
        with unfinished(out, folder=True) as building:
            _write(building, run, loaded, hf_weights(state, loaded.config.model.shape), dtype)
            replace_durably(building, out)  # an empty folder makes place
    except (OSError, SafetensorError) as error:  # safetensors' own is for a full disk
        reason = getattr(error, "strerror", None) or error
        raise WorkbenchError(f"{out}: cannot be written: {reason}.") from error
    return loaded.step


def _check_place(out: Path) -> None:
    """Check that a folder can be made.

    Raises:
        InputError: something is there, and it is no empty folder; or a file is in the way.
    """
    try:
        if out.is_symlink():
            gone = "" if out.exists() else ", where nothing is"
            raise InputError(
                f"--out {out}: is a link to {out.readlink()}{gone}, and a link is not followed. "
                "Give the folder itself, or remove the link."
            )
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"--out {out}: is there already. Give a folder that is not.")
        above = next((one for one in out.absolute().parents if os.path.lexists(one)), None)
        if above is not None and not above.is_dir():
            raise InputError(f"--out {out}: {above} is no folder. Give another place.")
    except OSError as error:
        raise InputError(f"--out {out}: cannot be made: {error.strerror}.") from None


def _write(
    folder: Path, run: RunFolder, loaded: RunModel, weights: dict[str, Tensor], dtype: str
) -> None:
    config, facts = loaded.config, objective_facts(loaded.config.training.objective)
    ids, seq_len = loaded.tokenizer.vocabulary, config.data.seq_len
    alone = facts.causal and facts.streams == 1
    ours = _description(run, loaded)
    document = hf_config(
        config.model, seq_len=seq_len, causal=facts.causal, streams=facts.streams, dtype=dtype
    )
    special = {"bos_token_id": ids.bos_id, "eos_token_id": ids.eod_id, "pad_token_id": ids.eod_id}
    document |= special | {"mask_token_id": ids.mask_id, "workbench": ours}
    # MASK, BOS and padding are no tokens of a text: nothing has taught the model not to write them.
    never = {"suppress_tokens": list(range(ids.n_tokens, ids.size))} if alone else {}
    origin = {name: str(ours[name]) for name in ("run_id", "step", "data_fingerprint")}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt", **origin})
    _write_json(folder / "config.json", document)
    _write_json(folder / "generation_config.json", special | never)
    if "auto_map" in document:
        shutil.copyfile(Path(__file__).parent / MODELLING_FILE, folder / MODELLING_FILE)
    has_tokenizer = save_tokenizer(loaded.tokenizer, folder, context=seq_len, bos_first=alone)
    card = model_card(run, loaded, document, has_tokenizer=has_tokenizer)
    (folder / "README.md").write_text(card)


def _write_json(path: Path, document: dict[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n")


def _description(run: RunFolder, loaded: RunModel) -> dict[str, Any]:
    """Where the weights come from: the key `workbench` of config.json."""
    document, config = run.config_json(), loaded.config
    return {
        "format": FORMAT,
        "objective": config.training.objective,
        "seq_len": config.data.seq_len,
        "vocabulary": asdict(loaded.tokenizer.vocabulary),
        "run_id": run.run_id,
        "step": loaded.step,
        "weights": loaded.weights,
        "tokens": loaded.step * config.tokens_per_step,
        "parent": document.get("parent"),
        "data_fingerprint": document["data"]["fingerprint"],
        "config": config.model_dump(mode="json"),
    }


def load_exported(folder: str | Path) -> nn.Module:
    """The network of an exported folder, in our own class, of this format or the one before.

    Raises:
        InputError: not such a folder.
    """
    folder = Path(folder)
    try:
        document = json.loads((folder / "config.json").read_text())
        weights = load_file(folder / "model.safetensors")
        read = _READERS[_format_of(document)]
        model, weights = read(document, weights)
        model.to(next(iter(weights.values())).dtype).load_state_dict(weights)
    except KeyError as error:
        raise InputError(f"{folder}: not an exported model ({error} missing or unknown).") from None
    except _UNREADABLE as error:
        raise InputError(f"{folder}: not an exported model ({error}).") from None
    return model


def _format_of(document: Any) -> str:
    ours = document.get("workbench", document) if isinstance(document, dict) else {}
    found = ours.get("format") if isinstance(ours, dict) else None
    if found not in _READERS:
        raise ValueError(f"of format {found!r}, expected {' or '.join(_READERS)}")
    return str(found)


_Read = tuple[nn.Module, dict[str, Tensor]]


def _read(document: dict[str, Any], weights: dict[str, Tensor]) -> _Read:
    ours = document["workbench"]
    model = ModelConfig.model_validate(ours["config"]["model"])
    built = build_model(
        model,
        seq_len=ours["seq_len"],
        causal=document.get("causal", True),  # where it is no Qwen3
        doubled=document.get("streams", 1) == 2,
    )
    return built, our_weights(weights, model.shape)


def _read_first(document: dict[str, Any], weights: dict[str, Tensor]) -> _Read:
    """Of the first format, whose names are those of training."""
    shape = document["architecture"]
    built = build_model(
        ModelConfig.model_validate(document["config"]["model"]),
        seq_len=document["seq_len"],
        causal=shape["causal"],
        # Folders from before there were two streams do not have their number.
        doubled=shape.get("streams", 1) == 2,
    )
    if shape["tied"]:
        weights["tok_embeddings.weight"] = weights["lm_head.weight"]
    return built, weights


_READERS: dict[str, Callable[[dict[str, Any], dict[str, Tensor]], _Read]] = {
    "workbench-model-1": _read_first,
    FORMAT: _read,
}
