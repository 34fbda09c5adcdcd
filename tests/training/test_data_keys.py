"""Runs on text that is more than one corpus: recorded, resumed, evaluated on other text."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.running.test_worker import make_run, values
from workbench.errors import InputError
from workbench.evaluation.evaluate import Loading, evaluate_runs
from workbench.evaluation.opened import EvalOptions
from workbench.recipe import load_recipe
from workbench.running import worker
from workbench.runs.folder import RunFolder
from workbench.store import query
from workbench.store.ingest import ingest
from workbench.store.read_records import deduplicated, read_records


@pytest.fixture
def keys(tmp_path: Path, corpus: Path) -> list[str]:
    """A mixture, an annealing set and a second validation set."""
    texts = {}
    for name in ("second", "late", "play"):
        path = tmp_path / f"{name}.txt"
        path.write_text("\n\n".join(f"{name} text {i * i} of many others" for i in range(200)))
        texts[name] = path
    mixture = f'[{{corpus="{corpus}", weight=3}}, {{corpus="{texts["second"]}", weight=1}}]'
    return [
        f"data.mixture={mixture}",
        f'data.anneal={{corpus="{texts["late"]}", unique_tokens=256, fraction=0.4}}',
        f'data.validation_extra=[{{name="play", path="{texts["play"]}", tokens=512}}]',
        "training.checkpoint_every=100",
    ]


def mixed_run(tmp_path: Path, corpus: Path, keys: list[str]) -> RunFolder:
    from tests.conftest import RECIPE
    from workbench.planning.prepare import prepare_study
    from workbench.running.study import make_folders

    tmp_path.mkdir(exist_ok=True)
    path = tmp_path / "mixed.toml"
    path.write_text(RECIPE.format(corpus=corpus).replace(f'corpus = "{corpus}"\n', ""))
    recipe = load_recipe(path, ["training.objective=mdlm", *keys])
    (run,) = make_folders(recipe, prepare_study(recipe, tmp_path), tmp_path).values()
    return run


def stop_after(step: int) -> Callable[..., Callable[[int], None]]:
    """In place of the worker's status: ask this process to stop after a step, once."""

    def updater(*_: object) -> Callable[[int], None]:
        def update(done: int) -> None:
            if done == step:
                os.kill(os.getpid(), signal.SIGTERM)

        return update

    return updater


def numbers(run: RunFolder) -> dict[tuple[int, str], float]:
    frame = deduplicated(read_records(run.records_path).frame)
    return {
        (row["step"], row["metric"]): row["value"]
        for row in frame.to_dicts()
        if row["metric"] != "tokens_per_second"
    }


@pytest.mark.training
@pytest.mark.parametrize("step", [5, 9])
def test_a_resumed_run_gives_the_numbers_of_an_uninterrupted_one(
    step: int, tmp_path: Path, corpus: Path, keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped before and within the annealing phase, which begins with step 8 of 12."""
    whole = mixed_run(tmp_path / "whole", corpus, keys)
    assert worker.main(whole.path) == worker.FINISHED
    assert whole.config_json()["derived"]["anneal"]["first_step"] == 8
    stopped = mixed_run(tmp_path / "stopped", corpus, keys)
    assert stopped.run_id == whole.run_id
    with monkeypatch.context() as patched:
        patched.setattr(worker, "_status_updater", stop_after(step))
        assert worker.main(stopped.path) == worker.STOPPED
    assert stopped.status().state == "interrupted"
    assert worker.main(stopped.path) == worker.FINISHED
    assert numbers(stopped) == numbers(whole)
    assert {metric for _, metric in numbers(whole)} >= {"val_loss@play", "val_bpb@play"}


@pytest.mark.training
def test_the_last_steps_learn_the_annealing_text(tmp_path: Path, corpus: Path) -> None:
    late = tmp_path / "late.txt"
    late.write_text("\n\n".join("#" * 70 + str(i) for i in range(100)))
    extra = f'data.validation_extra=[{{name="late", path="{late}", tokens=1024}}]'
    anneal = f'data.anneal={{corpus="{late}", unique_tokens=512, fraction=0.5}}'
    losses = {}
    (tmp_path / "with").mkdir()
    (tmp_path / "without").mkdir()
    for name, annealing in {"without": [], "with": [anneal]}.items():
        run = make_run(tmp_path / name, corpus, extra, "training.objective=ar", *annealing)
        assert worker.main(run.path) == worker.FINISHED
        losses[name] = values(run, "val_loss@late")
    assert losses["with"][4] == losses["without"][4], "before the phase nothing differs"
    assert losses["with"][12] < losses["without"][12] - 0.3


@pytest.mark.training
def test_a_second_set_that_is_the_held_out_text_has_the_held_out_loss(
    tmp_path: Path, corpus: Path
) -> None:
    """Same windows, same estimator, same noise: the same number."""
    first = make_run(tmp_path, corpus)
    data = first.config_json()["data"]["folder"]
    held_out = bytes((tmp_path / data / "held_out.bin").read_bytes()[::2]).decode()
    same = tmp_path / "same.jsonl"
    import json

    documents = held_out.split("\0")[:-1]
    same.write_text("".join(json.dumps({"text": text}) + "\n" for text in documents))
    run = make_run(tmp_path, corpus, f'data.validation_extra=[{{name="same", path="{same}"}}]')
    assert run.run_id != first.run_id
    assert worker.main(run.path) == worker.FINISHED
    assert values(run, "val_loss@same") == values(run, "val_loss")
    assert values(run, "val_bpb@same") == values(run, "val_bpb")


@pytest.mark.training
def test_the_store_knows_tiers_and_second_sets(tmp_path: Path, corpus: Path) -> None:
    play = tmp_path / "play.txt"
    play.write_text("\n\n".join(f"to be {i} or not to be {i * i}" for i in range(100)))
    run = make_run(
        tmp_path,
        corpus,
        "data.quality=high",
        "data.quality_score=builtin",
        f'data.validation_extra=[{{name="play", path="{play}", tokens=512}}]',
    )
    assert worker.main(run.path) == worker.FINISHED
    ingest(tmp_path)
    rows = query(
        tmp_path,
        """SELECT quality, metric, estimator FROM final JOIN runs USING (run_id)
           WHERE metric LIKE 'val_loss%' ORDER BY metric""",
    )
    assert rows.rows() == [("high", "val_loss", "nelbo"), ("high", "val_loss@play", "nelbo")]
    last = numbers(run)
    options = EvalOptions(("val_loss",), draws=8, draws_given=True)  # as after the last step
    again = evaluate_runs(tmp_path, [run.run_id], options, Loading(device="cpu"), record=False)
    assert {row["metric"] for row in again} == {
        "val_loss", "val_bpb", "val_loss@play", "val_bpb@play",
    }  # fmt: skip
    for row in again:
        assert row["value"] == pytest.approx(last[12, row["metric"]], rel=1e-5), row["metric"]


def test_too_short_a_second_set_is_refused_before_anything_starts(
    tmp_path: Path, corpus: Path
) -> None:
    short = tmp_path / "short.txt"
    short.write_text("few words\n")
    with pytest.raises(InputError, match="has 10 tokens, and 2048"):
        make_run(tmp_path, corpus, f'data.validation_extra=[{{name="short", path="{short}"}}]')


def test_an_empty_second_set_is_refused_before_anything_starts(
    tmp_path: Path, corpus: Path
) -> None:
    empty = tmp_path / "empty.txt"
    empty.write_text("\n\n")
    with pytest.raises(InputError, match="has no text"):
        make_run(tmp_path, corpus, f'data.validation_extra=[{{name="e", path="{empty}"}}]')
