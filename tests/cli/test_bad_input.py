"""Wrong input: status 2, the file and the key named, a suggestion where one is near, no
traceback, nothing written."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import RECIPE, Workbench
from workbench.cli import app
from workbench.errors import InputError
from workbench.recipe import load_recipe

# (what to replace in the recipe, by what, words that the message must hold)
RECIPES = {
    "misspelt key": ("lr = 3e-3", "learning_rte = 3e-3", ["training.learning_rte", "Keys here"]),
    "misspelt key with a near one": ("lr = 3e-3", "lrr = 3e-3", ["training.lrr", "'lr'"]),
    **{
        f"a study called {name[:9]!r}": ('name = "tiny"', f"name = {json.dumps(name)}", words)
        for name, words in {
            "-rf": ["study.name", "beginning with neither '.' nor '-'"],
            ".hidden": ["study.name", "beginning"],
            "..": ["study.name", "beginning"],
            "a/b": ["study.name", "letters, digits"],
            "a\x1b[2J": ["study.name", "letters, digits"],
            "": ["study.name", "letters, digits"],
            "a" * 101: ["study.name", "100 characters"],
            "0123456789ab": ["study.name", "a run's id"],
        }.items()
    },
    "misspelt table": ("[model]", "[modle]", ["[modle]", "'model'"]),
    "negative rate": ("lr = 3e-3", "lr = -3e-3", ["training.lr", "-0.003", "greater than 0"]),
    "rate that is not a number": ("lr = 3e-3", "lr = nan", ["training.lr", "finite"]),
    "infinite rate": ("lr = 3e-3", "lr = inf", ["training.lr", "finite"]),
    "text for a number": ("batch_size = 16", 'batch_size = "16"', ["training.batch_size", '"16"']),
    "boolean for a number": ("batch_size = 16", "batch_size = true", ["training.batch_size"]),
    "boolean for a rate": ("lr = 3e-3", "lr = true", ["training.lr = true", "number"]),
    "fraction for a count": ("batch_size = 16", "batch_size = 16.5", ["training.batch_size"]),
    "unknown objective": ('["ar", "mdlm"]', '["ar", "mdml"]', ["training.objective", "'mdlm'"]),
    "unknown size": ("width = 32", 'size = "1C"', ["model.size", '"1C"', "1B"]),
    "heads that do not divide": ("heads = 2", "heads = 3", ["model.heads = 3", "model.width = 32"]),
    "dropout of all": ("heads = 2", "heads = 2\ndropout = 1.0", ["model.dropout", "less than 1"]),
    "one expert": ("heads = 2", "heads = 2\nmoe_experts = 1", ["model.moe_experts = 1", "2"]),
    "more choices than experts": (
        "heads = 2",
        "heads = 2\nmoe_experts = 2\nmoe_top_k = 3",
        ["model.moe_top_k = 3", "model.moe_experts = 2"],
    ),
    "choices without experts": ("heads = 2", "heads = 2\nmoe_top_k = 2", ["model.moe_experts"]),
    "a router's loss without one": (
        "lr = 3e-3",
        "lr = 3e-3\nmoe_z_weight = 0.1",
        ["training.moe_z_weight", "model.moe_experts"],
    ),
    "odd dimensions a head": ("heads = 2", "heads = 32", ["model.width / model.heads", "even"]),
    "no width": ("width = 32\n", "", ["model.width", "missing"]),
    "tensor parallel and heads": (
        "[sweep]",
        "[parallelism]\ntensor = 4\n[sweep]",
        ["parallelism.tensor = 4", "model.heads = 2"],
    ),
    "batch over ranks": (
        "[sweep]",
        "[parallelism]\nshard = 3\n[sweep]",
        ["training.batch_size = 16", "parallelism.shard"],
    ),
    "micro-batch that does not divide": (
        "batch_size = 16",
        "batch_size = 16\nmicro_batch_size = 5",
        ["training.micro_batch_size = 5", "16"],
    ),
    "fewer tokens than a batch": (
        "total_tokens = 6_144",
        "total_tokens = 500",
        ["training.total_tokens = 500", "512"],
    ),
    "tokens and epochs": ("batch_size = 16", "batch_size = 16\nepochs = 2.0", ["both are given"]),
    "neither tokens nor epochs": ("total_tokens = 6_144\n", "", ["neither is given"]),
    "unique tokens below a window": (
        "unique_tokens = 2_048",
        "unique_tokens = 31",
        ["data.unique_tokens = 31", "data.seq_len = 32"],
    ),
    "unknown task": ('["cloze"]', '["cloz"]', ["evaluation.tasks", "'cloze'"]),
    "unknown kind of document": ('"blank-line"', '"paragraph"', ["data.document", "blank-line"]),
    "unknown key in a sweep": (
        '"training.objective" =',
        '"trainig.objective" =',
        ["sweep", "trainig.objective", "training.objective"],
    ),
    "empty sweep": ('["ar", "mdlm"]', "[]", ["sweep.training.objective", "list"]),
    "sweep that is not a list": ('["ar", "mdlm"]', '"ar"', ["sweep.training.objective", "list"]),
    "uneven zip": (
        "[sweep]",
        '[sweep]\nzip = [{"training.seed" = [1, 2], "data.seed" = [1]}]',
        ["sweep.zip", "training.seed has 2"],
    ),
    "everything excluded": (
        "[sweep]",
        '[sweep]\nexclude = [{"training.objective" = "ar"}, {"training.objective" = "mdlm"}]',
        ["sweep.exclude"],
    ),
    "bad study name": ('name = "tiny"', 'name = "../tiny"', ["study.name", "letters"]),
    "no study": ('[study]\nname = "tiny"\nquestion = "Does it run?"\n', "", ["[study]", "missing"]),
    "key given twice": ("lr = 3e-3", "lr = 3e-3\nlr = 1e-3", ["TOML", "line"]),
    "not TOML": ("[study]", "[study", ["TOML", "line 2"]),
    "unknown baseline": (
        "[sweep]",
        '[compare]\nbaseline = "arr"\n[sweep]',
        ["compare.baseline", "'ar'"],
    ),
}


@pytest.mark.parametrize("case", RECIPES)
def test_a_malformed_recipe_is_refused_by_file_and_key(
    case: str, tmp_path: Path, corpus: Path
) -> None:
    old, new, words = RECIPES[case]
    text = RECIPE.format(corpus=corpus)
    assert old in text, "the case changes nothing"
    path = tmp_path / "broken.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(InputError) as refused:
        load_recipe(path)
    message = str(refused.value)
    assert "broken.toml" in message
    for word in words:
        assert word in message


# (arguments, words of the message); R is a good recipe
ARGUMENTS = {
    "missing file": (["run", "no/such.toml"], ["no/such.toml", "workbench recipes"]),
    "misspelt shipped recipe": (["run", "quickstrat"], ["'quickstart'"]),
    "folder for a recipe": (["plan", "."], ["folder"]),
    "binary for a recipe": (["plan", sys.executable], ["UTF-8"]),
    "set without a value": (["plan", "R", "--set", "training.lr"], ["--set", "key=value"]),
    "set of an unknown key": (["plan", "R", "--set", "training.lrr=1"], ["training.lrr", "'lr'"]),
    "set of an unknown table": (["plan", "R", "--set", "trainin.lr=1"], ["'training'"]),
    "unknown command": (["rnu", "R"], ["rnu"]),
    "unknown option": (["run", "R", "--job", "2"], ["--job"]),
    "no jobs": (["run", "R", "--jobs", "0"], ["--jobs"]),
    "too few jobs for the ranks": (
        ["run", "R", "--set", "parallelism.shard=2", "--jobs", "1"],
        ["--jobs 1", "2 ranks"],
    ),
    "unknown format": (["plan", "R", "--format", "yaml"], ["yaml", "json"]),
    "missing corpus": (
        ["run", "R", "--set", "data.corpus=no/text.txt"],
        ["data.corpus", "no/text.txt"],
    ),
    "corpus of an unknown kind": (["run", "R", "--set", "data.corpus=R"], [".toml", ".parquet"]),
    "missing tokenizer": (["run", "R", "--set", "data.tokenizer=no.json"], ["no.json"]),
    "more unique tokens than text": (
        ["run", "R", "--set", "data.unique_tokens=9_999_968"],
        ["data.unique_tokens = 9999968", "training tokens"],
    ),
    "one document": (["run", "R", "--set", "data.document=file"], ["1 document", "blank-line"]),
    "SQL without a store": (["sql", "SELECT 1"], ["no results yet"]),
    "no SQL": (["sql"], ["--schema"]),
    "crossover without a store": (["crossover", "tiny"], ["no results yet"]),
    "unknown axis": (["crossover", "tiny", "--axis", "steps"], ["steps", "tokens"]),
    "status of nothing": (["status"], ["no such folder"]),
    "retry of nothing": (["retry", "tiny"], ["tiny"]),
    "cancel of nothing": (["cancel", "tiny"], ["tiny"]),
    "ingest of nothing": (["ingest"], ["no such folder"]),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_wrong_arguments_end_with_status_2_and_write_no_run(
    case: str, recipe: Path, tmp_path: Path, workbench: Workbench
) -> None:
    arguments, words = ARGUMENTS[case]
    done = workbench(
        *(str(recipe) if a == "R" else a.replace("=R", f"={recipe}") for a in arguments)
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr + done.stdout
    for word in words:
        assert word in done.stderr
    assert not re.search(r"[.?:][.?:]( |$)", done.stderr), "each sentence ends once"
    assert not list(tmp_path.glob("results/runs/*"))
    assert not list(tmp_path.glob("results/studies/*"))
    assert not list(tmp_path.glob("results/**/train.bin")) or case == "more unique tokens than text"


def test_an_unwritable_results_folder_is_named(recipe: Path, workbench: Workbench) -> None:
    done = workbench("run", recipe, "--results", "/proc/results")
    assert done.returncode == 2
    assert "/proc/results" in done.stderr
    assert "Traceback" not in done.stderr


def test_help_starts_without_the_heavy_packages() -> None:
    code = (
        "import sys, workbench.cli\n"
        "heavy = ('torch', 'polars', 'duckdb', 'altair', 'pydantic')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_schema_is_json_and_knows_every_table() -> None:
    done = CliRunner().invoke(app, ["schema"])
    schema = json.loads(done.stdout)
    assert {"study", "data", "model", "training", "evaluation", "sweep"} <= set(
        schema["properties"]
    )
    assert "training.objective" in schema["properties"]["sweep"]["properties"]
