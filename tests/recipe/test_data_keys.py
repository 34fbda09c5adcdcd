"""Recipes with tiers, mixtures, annealing sets and second validation sets: resolved or refused."""

import json
from pathlib import Path

import pytest

from tests.conftest import RECIPE, Workbench
from workbench.errors import InputError
from workbench.metrics import base_name, higher_is_better, unit
from workbench.recipe import RunConfig, canonical_json, load_recipe, numbers_json
from workbench.recipe.json_schema import recipe_schema


def load(tmp_path: Path, *overrides: str, data: str = "", sweep: str = "") -> list[RunConfig]:
    text = RECIPE.format(corpus="x.txt").replace("[model]", f"{data}\n[model]")
    if "data.mixture" in data:
        text = text.replace('corpus = "x.txt"\n', "", 1)
    path = tmp_path / "r.toml"
    path.write_text(text[: text.index("[sweep]")] + "\n[sweep]\n" + sweep)
    return load_recipe(path, list(overrides)).runs


def test_how_text_is_found_is_no_part_of_a_runs_numbers(tmp_path: Path) -> None:
    plain, strict, read = (
        load(tmp_path, *keys)[0]
        for keys in (
            [],
            ['data.encoding_errors="strict"'],
            ['data.encoding_errors="replace"', 'data.suffixes=[".py"]', 'data.text_key="{a} {b}"'],
        )
    )
    assert canonical_json(strict) == canonical_json(plain)
    assert canonical_json(read) != canonical_json(plain)
    assert numbers_json(read) == numbers_json(plain), "the fingerprint has the text"


def test_a_mixtures_corpora_have_the_datas_endings_or_their_own(tmp_path: Path) -> None:
    data = MIXTURE.replace("weight = 3", 'weight = 3\nsuffixes = [".md"]')
    (run,) = load(tmp_path, 'data.suffixes=[".py"]', data=data)
    assert [one.suffixes for one in run.data.mixture or ()] == [(".md",), (".py",)]


MIXTURE = """
[[data.mixture]]
corpus = "a.txt"
weight = 3
[[data.mixture]]
corpus = "b.jsonl"
weight = 1
text_key = "body"
"""


def test_all_of_a_corpus_beside_its_tiers_is_the_plain_run(tmp_path: Path) -> None:
    score = 'data.quality_score="builtin"'
    plain = load(tmp_path)
    swept = load(tmp_path, score, sweep='"data.quality" = ["all", "low", "medium", "high"]')
    assert [run.data.quality for run in swept] == [None, "low", "medium", "high"]
    assert canonical_json(swept[0]) == canonical_json(plain[0])
    assert len({canonical_json(run) for run in swept}) == 4


def test_a_corpus_s_own_buckets_are_swept_beside_all_of_it(tmp_path: Path) -> None:
    bucket = 'data.quality_bucket="quality={}"'
    swept = load(tmp_path, bucket, sweep='"data.quality" = ["all", "medium-high", "4"]')
    assert [run.data.quality for run in swept] == [None, "medium-high", "4"]
    assert canonical_json(swept[0]) == canonical_json(load(tmp_path)[0])
    assert len({canonical_json(run) for run in swept}) == 3


def test_a_mixture_names_its_corpora_and_inherits_the_rest(tmp_path: Path) -> None:
    (run,) = load(tmp_path, data=MIXTURE)
    assert run.data.corpus == "a.txt + b.jsonl"
    assert [one.document for one in run.data.mixture or ()] == ["blank-line"] * 2
    assert [one.text_key for one in run.data.mixture or ()] == ["text", "body"]
    again = RunConfig.model_validate(run.model_dump(mode="json"))
    assert canonical_json(again) == canonical_json(run), "config.json gives the run back"


def test_mixtures_and_annealing_sets_can_be_swept(tmp_path: Path) -> None:
    runs = load(
        tmp_path,
        data='[data.anneal]\ncorpus = "l.txt"\nunique_tokens = 64',
        sweep='"data.anneal.fraction" = [0.25, 0.5]',
    )
    assert [run.data.anneal.fraction for run in runs if run.data.anneal] == [0.25, 0.5]
    runs = load(
        tmp_path,
        data=MIXTURE,
        sweep=""""data.mixture" = [
            [{corpus = "a.txt", weight = 1}], [{corpus = "a.txt", weight = 1.0}]]""",
    )
    assert len(runs) == 1, "whole weights and decimals are the same weights"


def test_annealing_is_the_decay_phase_unless_told_otherwise(tmp_path: Path) -> None:
    data = '[data.anneal]\ncorpus = "l.txt"\nunique_tokens = 64'
    (run,) = load(tmp_path, "training.decay_fraction=0.3", data=data)
    assert run.data.anneal
    assert run.data.anneal.fraction == 0.3


@pytest.mark.parametrize(
    ("data", "overrides", "words"),
    [
        ("", ["data.quality=high"], ["needs one source", "none is given"]),
        ("", ["data.quality=hihg"], ["data.quality", "did you mean 'high'"]),
        ("", ["data.quality_key=s"], ["data.quality, which is not given"]),
        (
            "",
            ["data.quality=low", "data.quality_key=s", "data.quality_score=builtin"],
            ["quality_key and quality_score are given"],
        ),
        ("", ["data.quality_bucket=s"], ["names buckets for data.quality, which is not given"]),
        ("", ["data.quality=best"], ["low, medium, high", "data.quality_bucket"]),
        ("", ["data.quality=a", 'data.quality_bucket="{}"'], ["text beside it", "quality={}"]),
        ("", ["data.quality=a", "data.quality_bucket=q={}/{}"], ["one {} stands for the name"]),
        (
            "",
            ["data.quality=low", "data.quality_key=s", "data.quality_bucket=t"],
            ["quality_key and quality_bucket are given"],
        ),
        (MIXTURE, ["data.quality=low", "data.quality_key=s"], ["tiers are of one corpus"]),
        (MIXTURE, ["data.corpus=c.txt"], ["beside data.mixture", "Leave data.corpus out"]),
        (MIXTURE, ["data.unique_tokens=32"], ['"b.jsonl" with weight 1 gets none']),
        (MIXTURE, ["data.validation_tokens=32"], ["each corpus of the mixture"]),
        (MIXTURE.replace("b.jsonl", "a.txt").replace('text_key = "body"', ""), [], ["twice"]),
        (MIXTURE.replace("weight = 3", "weight = 3.1234567"), [], ["too many", "digits"]),
        (MIXTURE.replace("weight = 3", "wieght = 3"), [], ["did you mean 'weight'"]),
        (MIXTURE.replace("weight = 3", "weight = 0"), [], ["data.mixture.0.weight"]),
        ('[data.anneal]\ncorpus = "l.txt"', [], ["data.anneal.unique_tokens is missing"]),
        (
            '[data.anneal]\ncorpus = "l.txt"\nunique_tokens = 64\nfration = 0.1',
            [],
            ["data.anneal.fration", "did you mean 'fraction'"],
        ),
        ('[data.anneal]\ncorpus = "l.txt"\nunique_tokens = 8', [], ["fewer than one window"]),
        (
            '[data.anneal]\ncorpus = "l.txt"\nunique_tokens = 64',
            ["training.decay_fraction=0"],
            ["training.decay_fraction = 0: 0 of 12 steps"],
        ),
        (
            '[data.anneal]\ncorpus = "l.txt"\nunique_tokens = 64\nfraction = 1',
            [],
            ["data.anneal.fraction = 1: 12 of 12 steps"],
        ),
        (
            'validation_extra = [{name = "a", path = "x"}, {name = "a", path = "y"}]',
            [],
            ['two sets are called "a"'],
        ),
        ("", ['data.text_key="{a.b!r}"'], ["data.text_key", "template", "{instruction}"]),
        ("", ['data.text_key="{a"'], ["data.text_key", "template"]),
        (
            '[data.anneal]\ncorpus = "l.txt"\nunique_tokens = 64\ntext_key = "{}"',
            [],
            ['data.text_key = "{}"', "template"],
        ),
        ("", ['data.suffixes=["py"]'], ["data.suffixes"]),
        ("", ['data.encoding_errors="ignore"'], ["data.encoding_errors", "replace"]),
        ('validation_extra = [{name = "held_out", path = "x"}]', [], ["is taken"]),
        ('validation_extra = [{name = "a b", path = "x"}]', [], ["data.validation_extra.0.name"]),
        ('validation_extra = [{name = "a", path = "x", tokens = 8}]', [], ["tokens = 8"]),
        ("", ["data.seq_len=2", "evaluation.tasks=[]", "evaluation.memorisation=4"], ["seq_len"]),
    ],
)
def test_what_no_run_could_read_is_refused(
    data: str, overrides: list[str], words: list[str], tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refused:
        load(tmp_path, *overrides, data=data)
    for word in words:
        assert word in str(refused.value)


def test_the_schema_takes_a_corpus_or_a_mixture() -> None:
    data = recipe_schema()["$defs"]["DataConfig"]
    assert data["anyOf"] == [{"required": ["corpus"]}, {"required": ["mixture"]}]
    assert "corpus" not in data["required"]
    assert "data.anneal.fraction" in recipe_schema()["properties"]["sweep"]["properties"]


def test_a_metric_on_another_set_is_the_same_metric() -> None:
    assert base_name("val_loss@shakespeare") == "val_loss"
    assert unit("val_bpb@shakespeare") == "bits a byte"
    assert not higher_is_better("val_loss@acc")
    assert higher_is_better("cloze_acc@play")
    assert base_name("humaneval_pass@1") == "humaneval_pass@1"
    assert higher_is_better("humaneval_pass@1")


@pytest.mark.slow
def test_an_audit_is_a_table_for_people_and_json_for_programs(
    recipe: Path, tmp_path: Path, workbench: Workbench
) -> None:
    done = workbench(
        "audit", recipe, "--results", tmp_path / "r", "--ngram", "32", "--format", "json"
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["memorisation"] == []
    (corpus,) = document["corpora"]
    assert corpus["exact_duplicates_removed"] == 5
    sets = {one["set"]: one for one in corpus["sets"]}
    assert set(sets) == {
        "held-out documents", "validation windows", "cloze questions", "cloze answers",
    }  # fmt: skip
    assert sets["held-out documents"]["flagged"] == 0
    wrong = workbench("audit", "nothing", "--results", tmp_path / "r")
    assert wrong.returncode == 2
    assert "neither a recipe nor a run" in wrong.stderr
