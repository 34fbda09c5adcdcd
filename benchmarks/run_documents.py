"""Documents of runs that were never trained: what stores are filled with to be measured."""

import json
from pathlib import Path
from typing import Any

QUICKSTART = {
    "n_params": 181_440,
    "n_params_non_embedding": 164_544,
    "steps": 400,
    "epochs": 25.6,
    "train_flops": 1e12,
}
"""What a run of the quickstart derives from its configuration."""


def run_document(
    run_id: str, config: dict[str, Any], derived: dict[str, Any] = QUICKSTART
) -> dict[str, Any]:
    """A run's `config.json`."""
    return {
        "schema": 1,
        "run_id": run_id,
        "parent": None,
        "config": config,
        "data": {"fingerprint": "f" * 64, "folder": "data/f"},
        "derived": derived,
    }


def write_study(results: Path, name: str, question: str, run_ids: list[str]) -> None:
    """A study's file, of AR against masked diffusion."""
    study = {
        "name": name,
        "question": question,
        "source": "made",
        "recipe": "",
        "compare": {"baseline": "ar", "challenger": "mdlm", "match": None},
        "run_ids": run_ids,
    }
    folder = results / "studies"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(study))
