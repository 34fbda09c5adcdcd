"""Run folders with records, made by the writers that training uses."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.metrics import PROTOCOL
from workbench.recipe import load_recipe
from workbench.runs.folder import RunFolder
from workbench.runs.items import Items, ItemsFile
from workbench.runs.records import RecordWriter

MakeRun = Callable[..., RunFolder]
WINDOW = 64  # tokens of an item


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def make_run(results: Path) -> MakeRun:
    """make_run("a", {step: value, ...}, study="s", metric=..., state=..., overrides=[...]).

    With items=[0.1, -0.2, ...] the run also has what its values are made of: one window of each of
    so many documents, whose own value lies that much above the run's. The run's recorded value is
    their mean.
    """
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
        items: Sequence[float] | None = None,
        protocol: int | None = PROTOCOL,
        imported: bool = False,
        n_params: int = 181_440,
    ) -> RunFolder:
        config = load_recipe("quickstart", ["training.objective='ar'", *(overrides or [])]).runs[0]
        document: dict[str, Any] = {
            "schema": 1,
            "run_id": run_id,
            "parent": None,
            "data": {"fingerprint": "f" * 64, "folder": "data/f"},
            "config": config.model_dump(mode="json"),
            "derived": {
                "n_params": n_params,
                "n_params_non_embedding": 164_544,
                "steps": config.steps,
                "tokens_per_step": config.tokens_per_step,
                "epochs": config.epochs,
                "train_flops": 1e12,
            },
        }
        document |= {} if imported or protocol in (None, 1) else {"protocol": protocol}
        document |= {"imported": True} if imported else {}
        run = RunFolder.create(results, run_id, document, {"host": "here"})
        estimator = "nll" if config.training.objective == "ar" else "nelbo"
        parts = {step: _items(value, items) for step, value in values.items() if items is not None}
        if parts:
            file = ItemsFile(run.items_dir)
            for step, part in parts.items():
                file.add(part.frame(step, metric, estimator, None))
            file.write()
        writer = RecordWriter(run.records_path)
        for step, value in values.items():
            writer.write(
                step=step,
                tokens=step * 2048,
                epoch=step * 2048 / config.data.unique_tokens,
                flops=step * (1e9 if config.training.objective == "ar" else 1.1e9),
                metric=metric,
                value=parts[step].value if parts else value,
                stderr=parts[step].stderr if parts else None,
                estimator=estimator,
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


def _items(value: float, offsets: Sequence[float]) -> Items:
    n = len(offsets)
    totals = WINDOW * (value + np.asarray(offsets, dtype=float))
    return Items(np.arange(n), totals, np.full(n, float(WINDOW)), np.ones(n))


STEPS = range(20, 420, 20)


def make_crossing_seeds(
    make_run: MakeRun,
    at: float,
    *,
    seeds: int = 3,
    documents: int = 24,
    spread: float = 0.05,
    level: float = 3.0,
    overrides: Sequence[str] = (),
    **options: Any,
) -> None:
    """AR and diffusion, one pair a seed, whose losses cross at about step `at` of 400.

    AR stays at `level` nats; diffusion falls in log steps. Each seed moves both by a common amount
    and each by its own of sd `spread`; documents differ by ten times as much in both alike, and by
    `spread` in what diffusion makes of them.
    """
    rng = np.random.default_rng(round(at) + seeds)
    of_document = {"ar": rng.normal(0, 10 * spread, documents)}
    of_document["mdlm"] = of_document["ar"] + rng.normal(0, spread, documents)
    for seed in range(seeds):
        both = rng.normal(0, spread)
        for name, objective, slope in (("a", "ar", 0.0), ("d", "mdlm", 0.5)):
            own = level + both + rng.normal(0, spread)
            values = {step: own - slope * np.log(step / at) for step in STEPS}
            make_run(
                f"{name}{seed}-{at}",
                values,
                overrides=[
                    f"training.objective='{objective}'", f"data.seed={seed}",
                    f"training.seed={seed}", *overrides,
                ],
                items=of_document[objective] + rng.normal(0, spread, documents),
                **options,
            )  # fmt: skip
