"""Run folders with records, made by the writers that training uses."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from workbench.recipe import load_recipe
from workbench.runs.folder import RunFolder
from workbench.runs.records import RecordWriter

MakeRun = Callable[..., RunFolder]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def make_run(results: Path) -> MakeRun:
    """make_run("a", {step: value, ...}, study="s", metric=..., state=..., overrides=[...])."""
    return run_maker(results)


def run_maker(results: Path) -> MakeRun:
    """`make_run` for any folder."""

    def make(
        run_id: str,
        values: dict[int, float],
        *,
        study: str = "made",
        metric: str = "val_loss",
        state: str = "finished",
        overrides: list[str] | None = None,
        compare: dict[str, Any] | None = None,
        protocol: int | None = None,
        imported: bool = False,
    ) -> RunFolder:
        config = load_recipe("quickstart", ["training.objective='ar'", *(overrides or [])]).runs[0]
        document: dict[str, Any] = {
            "schema": 1,
            "run_id": run_id,
            "parent": None,
            "data": {"fingerprint": "f" * 64, "folder": "data/f"},
            "config": config.model_dump(mode="json"),
            "derived": {
                "n_params": 181_440,
                "n_params_non_embedding": 164_544,
                "steps": config.steps,
                "epochs": config.epochs,
                "train_flops": 1e12,
            },
        }
        document |= {"protocol": protocol} if protocol is not None else {}
        document |= {"imported": True} if imported else {}
        run = RunFolder.create(results, run_id, document, {"host": "here"})
        writer = RecordWriter(run.records_path)
        for step, value in values.items():
            writer.write(
                step=step,
                tokens=step * 2048,
                epoch=step * 2048 / config.data.unique_tokens,
                flops=step * (1e9 if config.training.objective == "ar" else 1.1e9),
                metric=metric,
                value=value,
                estimator="nll" if config.training.objective == "ar" else "nelbo",
            )
        writer.flush(fsync=False)
        writer.close()
        run.write_status(state=state, step=max(values, default=0), attempts=1)
        path = results / "studies" / f"{study}.json"
        path.parent.mkdir(exist_ok=True)
        document = json.loads(path.read_text()) if path.exists() else {"run_ids": []}
        document |= {"name": study, "question": "?", "source": "", "recipe": ""}
        document["compare"] = compare or {"baseline": "ar", "challenger": "mdlm", "match": None}
        if run_id not in document["run_ids"]:
            document["run_ids"].append(run_id)
        path.write_text(json.dumps(document))
        return run

    return make
