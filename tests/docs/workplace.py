"""A folder in which the commands of the documents can be run: text, a study, its results.

Names in the documents stand for things of the reader's own; here is what they are in the tests.
Every command is run as it is written but for these names.
"""

import contextlib
import json
import random
import re
import shutil
import tarfile
from pathlib import Path

import numpy as np

from tests.conftest import WORDS, TrainedRuns
from tests.docs.command_lines import ROOT, blocks
from workbench.planning.prepare import prepare_study
from workbench.recipe import load_recipe
from workbench.running.study import make_folders
from workbench.runs.folder import RunFolder
from workbench.runs.records import RecordWriter
from workbench.store.ingest import ingest

LINKED = ("tests", "recipes", "benchmarks", "docs", "examples", "Makefile", "pyproject.toml",
          "constraints.txt")  # fmt: skip
"""What a checkout has, where a reader runs the commands."""


def studies_of(page: Path) -> list[str]:
    """The recipes that a page writes down, whole: its blocks of TOML with a [study]."""
    return [code for _, tag, code in blocks(page) if tag == "toml" and "[study]" in code]


def make_workplace(folder: Path) -> Path:
    """A checkout's folder with texts, the study of docs/start.md, and its finished runs."""
    folder.mkdir()
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)
    _write_texts(folder / "my-texts")
    _write_tables(folder)
    (folder / "shared").mkdir()
    (folder / "shared" / "results").symlink_to(folder / "results")
    (study,) = studies_of(ROOT / "docs" / "start.md")
    add_study(study, folder)
    return folder


def add_study(text: str, folder: Path) -> None:
    """Write a page's recipe as study.toml and make the runs that it asks for, finished."""
    (folder / "study.toml").write_text(text)
    with contextlib.chdir(folder):  # where the recipe's paths begin
        recipe, results = load_recipe(Path("study.toml")), Path("results").resolve()
        for run in make_folders(recipe, prepare_study(recipe, results), results).values():
            if run.status().state != "finished":
                _finish(run)
        ingest(results)


def _finish(run: RunFolder) -> None:
    """Give a run curves as training might have: AR falls and rises, diffusion falls slowly and
    ends lower."""
    rng = np.random.default_rng(int(run.run_id, 16) % 2**32)
    document = run.config_json()
    config, derived = document["config"], document["derived"]
    unique, diffusion = config["data"]["unique_tokens"], config["training"]["objective"] != "ar"
    own = rng.normal(0, 0.01)
    tokens_per_step = config["training"]["total_tokens"] / derived["steps"]
    writer = RecordWriter(run.records_path)
    for step in np.linspace(1, derived["steps"], 17).astype(int).tolist():
        tokens, share = int(step * tokens_per_step), step / derived["steps"]
        epochs = tokens / unique
        loss = 2.4 + 2 * (1 - share) ** 2 if diffusion else 2.2 + 0.03 * epochs + 2 / (1 + step)
        values = {"val_loss": loss + own, "val_bpb": (loss + own) / np.log(2)}
        values |= {"cloze_acc": 0.25 + 0.1 * share, "cloze_nll_true": loss + own,
                   "cloze_nll_other": loss + 0.2}  # fmt: skip
        for metric, value in values.items():
            writer.write(
                step=step,
                tokens=tokens,
                epoch=epochs,
                flops=derived["train_flops"] * share,
                metric=metric,
                value=float(value),
                stderr=None,
                estimator="nelbo" if diffusion else "nll",
            )
    writer.flush(fsync=False)
    writer.close()
    run.write_status(state="finished", step=derived["steps"], attempts=1)


def _write_texts(folder: Path) -> None:
    folder.mkdir()
    rng = random.Random(0)
    rows = [{"text": " ".join(rng.choices(WORDS, k=rng.randint(40, 90)))} for _ in range(1_000)]
    lines = [json.dumps(row) + "\n" for row in rows]
    (folder / "a.jsonl").write_text("".join(lines[:500]))
    (folder / "b.jsonl").write_text("".join(lines[500:]))


def _write_tables(folder: Path) -> None:
    shutil.copytree(ROOT / "tests/importing/real/torchtitan", folder / "tensorboard")
    rng = np.random.default_rng(0)
    rows = ["objective,n_params,total_tokens,unique_tokens,loss"]
    for size in (1e6, 3e6, 1e7, 3e7):
        for unique in (1e7, 3e7, 1e8):
            for tokens in (1e8, 3e8, 1e9):
                loss = 1.8 + 400 / size**0.35 + 1500 / min(tokens, 8 * unique) ** 0.35
                rows.append(f"ar,{size:.0f},{tokens:.0f},{unique:.0f},{loss + rng.normal(0, 0.01)}")
    (folder / "runs.csv").write_text("\n".join(rows) + "\n")
    rows = ["objective,n_params,unique_tokens,metric,total_tokens,loss"]
    for objective, slope in (("ar", 0.002), ("mdlm", -0.01)):
        for step in range(1, 20):
            rows.append(f"{objective},1e6,1e6,val_loss,{step * 1e6},{3 + slope * step}")
    (folder / "curves.csv").write_text("\n".join(rows) + "\n")
    (folder / "a.txt").write_text("text in another encoding\n", encoding="utf-16")
    (folder / "a.json").write_text('[{"text": "one"}, {"text": "two"}]')
    with tarfile.open(folder / "shards.tar", "w") as archive:
        archive.add(folder / "a.json", "a.json")
    question = {"ctx": "value index", "endings": ["result", "token", "model", "batch"], "label": 1}
    (folder / "hellaswag_val.jsonl").write_text((json.dumps(question) + "\n") * 4)
    question = {"question": "value?", "choices": list("abcd"), "answer": 2, "subject": "algebra"}
    for name in ("mmlu_test.jsonl", "mmlu_dev.jsonl"):
        (folder / name).write_text((json.dumps(question) + "\n") * 5)


def add_runs_of(trained: TrainedRuns, results: Path) -> None:
    """Put the study of the fixture `trained` beside what a results folder has."""
    source = trained["ar"].path.parents[1]
    shutil.copytree(source, results, dirs_exist_ok=True)
    for run in trained.values():  # which trained in this process, and so without a log
        (results / "runs" / run.run_id / "log.txt").write_text("step 12: loss 2.5\n")


def with_names(words: list[str], *, run: str) -> list[str]:
    """A command's words with the names that docs/commands.md explains in place of yours."""
    names = {"RUN": run, "STUDY": "unique-budget", "RECIPE": "study.toml", "/shared": "shared"}
    pattern = re.compile(rf"(?<!\w)({'|'.join(names)})\b")
    return [pattern.sub(lambda found: names[found[1]], word) for word in words]
