"""The benchmarks of others: within their rules, each setting with its source, and run in small."""

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from workbench.planning.plan import plan_study
from workbench.recipe import Recipe, load_recipe, recipe_folder, shipped_recipes
from workbench.running import worker
from workbench.running.study import prepared_folders

FIELD = [name for name in shipped_recipes() if name.startswith("field/")]
SLOWRUN = [name for name in FIELD if "slowrun" in name]
NODE = 8 * 4e14  # FLOPs a second that the heads of the recipes assume
MINUTES = {"tiny": 15, "limited": 60, "two-hour": 120}
SMALL = [
    "data.document=blank-line", "data.tokenizer=bytes", "data.unique_tokens=2048",
    "data.seq_len=32", "data.validation_tokens=1024", "model.layers=2", "model.width=32",
    "model.heads=2", "model.ffn=64", "model.vocab_size=258",
    "training.batch_size=8", "training.micro_batch_size=8",
    "training.epochs=2", "training.ema=1024", "training.dtype=float32", "evaluation.points=2",
    "parallelism.shard=1",
]  # fmt: skip


@pytest.mark.parametrize("name", FIELD)
def test_each_setting_of_a_field_recipe_says_where_it_comes_from(name: str) -> None:
    """In a comment beside the key, in the line above, or beside its table."""
    table = ""
    whole_table = above = False
    for line in (recipe_folder() / f"{name}.toml").read_text().splitlines():
        if header := re.match(r"\[+([\w.]+)\]+", line):
            table, whole_table = header[1], "#" in line or above
        elif re.match(r'[\w".]+ *=', line) and table not in ("study", "compare", "sweep.exclude"):
            assert "#" in line or above or whole_table, f"[{table}] {line}"
        above = line.startswith("#")


@pytest.mark.parametrize("name", SLOWRUN)
def test_a_run_of_slowrun_takes_the_tracks_data_and_time(name: str, tmp_path: Path) -> None:
    planned = plan_study(load_recipe(name), tmp_path)
    assert {run.unique_tokens for run in planned.runs} == {100_000_000}
    ar, mdlm = (
        sum(run.train_flops for run in planned.runs if run.objective == objective) / NODE / 60
        for objective in ("ar", "mdlm")
    )
    if minutes := MINUTES.get(name.removeprefix("field/slowrun-")):
        assert max(run.train_flops for run in planned.runs) / NODE <= minutes * 60
        assert min(run.train_flops for run in planned.runs) / NODE >= 0.75 * minutes * 60
    else:  # one long run of diffusion against all members of the ensemble
        assert mdlm / 2 == pytest.approx(ar, rel=0.1)
        assert ar + mdlm <= 8 * 7 * 24 * 60  # 64 GPUs for a week


def test_the_rules_of_babylm_are_met_but_by_the_runs_that_say_they_do_not(tmp_path: Path) -> None:
    runs = plan_study(load_recipe("field/babylm-strict-small"), tmp_path).runs
    assert sorted({run.epochs for run in runs}) == pytest.approx([10, 40])
    assert max(run.unique_tokens for run in runs) < 14_000_000


def shrunk(name: str, corpus: Path) -> Recipe:
    """A field recipe that trains in a second: its optimizer, averages, schedules and objectives on
    two small layers and other text. What it sweeps over shapes and budgets is fixed."""
    here = [f"data.corpus={corpus}"]
    if load_recipe(name).runs[0].data.validation_extra:
        extra = f'[{{name = "slowrun", path = "{corpus}", document = "blank-line", tokens = 512}}]'
        here.append(f"data.validation_extra={extra}")
    seed = "training.seed=0" if "unlimited" in name else "seed=0"
    return load_recipe(name, [*SMALL, *here, "data.validation_documents=10", seed])


@pytest.mark.long
@pytest.mark.training
@pytest.mark.parametrize("name", FIELD)
def test_a_field_recipe_trains_in_small(name: str, tmp_path: Path, corpus: Path) -> None:
    recipe = shrunk(name, corpus)
    assert {run.training.objective for run in recipe.runs} == {"ar", "mdlm"}
    for run in prepared_folders(recipe, tmp_path / "results").values():
        assert worker.main(run.path) == worker.FINISHED
        lines = [json.loads(line) for line in (run.path / "records.jsonl").read_text().splitlines()]
        metrics = {line.get("metric") for line in lines}
        assert {"val_loss", "val_loss@ema"} <= metrics


def corpora() -> ModuleType:
    """The program that writes the benchmarks' text, as a module."""
    path = recipe_folder() / "field" / "corpora.py"
    spec = importlib.util.spec_from_file_location("field_corpora", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_training_text_goes_on_where_the_validation_text_ends() -> None:
    """Of one stream: documents are whole, and none is in both."""
    documents = iter(["a" * length for length in (5, 3, 9, 2, 4, 7)])
    validation = list(corpora().until(documents, list, 10))
    training = list(corpora().until(documents, list, 13))
    assert [len(text) for text in validation] == [5, 3]  # 6 + 4 tokens with their ends
    assert [len(text) for text in training] == [9, 2]


def test_lines_become_documents_of_one_file_each(tmp_path: Path) -> None:
    module = corpora()
    for name, lines in (("b", 3), ("a", module.LINES + 1)):
        (tmp_path / f"{name}.train.txt").write_text(f"{name}\n" * lines)
    parts = list(module.joined_lines(tmp_path.glob("*.txt")))
    assert [(part[0], part.count("\n")) for part in parts] == [("a", 64), ("a", 1), ("b", 3)]
    module.write(tmp_path / "out.jsonl", parts)
    written = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in written] == parts
