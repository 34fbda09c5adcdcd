"""`workbench data check`: a recipe's text is counted as it is, and nothing is trained."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from workbench.cli import app
from workbench.data import find_prepared
from workbench.errors import InputError
from workbench.recipe import load_recipe
from workbench.runs.folder import list_runs

FILES = Path(__file__).parent / "tokenizers"
TEXTS = [json.loads(line)["text"] for line in (FILES / "texts.jsonl").read_text().splitlines()]

RECIPE = """
[study]
name = "checked"
[data]
corpus = "{corpus}"
tokenizer = "{tokenizer}"
unique_tokens = {unique_tokens}
seq_len = 32
validation_tokens = 640
[model]
width = 32
layers = 2
heads = 2
[training]
objective = "ar"
total_tokens = 2560
batch_size = 8
lr = 3e-3
"""


def check(folder: Path, *options: str, **changes: Any) -> Any:
    values = {"corpus": folder / "text.jsonl", "tokenizer": "bytes", "unique_tokens": 640}
    (folder / "study.toml").write_text(RECIPE.format(**{**values, **changes}))
    arguments = [str(folder / "study.toml"), "--results", str(folder / "results"), *options]
    return CliRunner().invoke(app, ["data", "check", *arguments])


@pytest.fixture
def messy(tmp_path: Path) -> Path:
    """80 texts, three of them twice, one nearly, and two rows without text."""
    rows: list[Any] = [*TEXTS, *TEXTS[:3], TEXTS[5] + " once more", "", None]
    (tmp_path / "text.jsonl").write_text("\n".join(json.dumps({"text": row}) for row in rows))
    return tmp_path


def test_the_counts_are_those_of_the_text(messy: Path) -> None:
    done = check(messy, "--format", "json")
    (counted,) = json.loads(done.stdout)["data"]
    distinct = {*TEXTS, TEXTS[5] + " once more"}
    assert counted["documents"] == len(TEXTS) + 4
    assert counted["duplicates"] == 3
    assert counted["left_out"] == 2
    assert counted["read"][0]["left_out"] == {"null": 1, "empty": 1}
    tokens = counted["train_tokens"] + counted["held_out_tokens"]
    assert tokens == sum(len(text.encode()) + 1 for text in distinct)
    assert counted["bytes_per_token"] == pytest.approx(1, abs=0.01)
    assert counted["lost_characters"] == 0
    assert counted["problem"] is None


def test_nothing_is_trained_and_a_run_finds_what_was_read(messy: Path) -> None:
    done = check(messy)
    assert done.exit_code == 0
    assert "text.jsonl" in done.stdout
    assert "1 row is left out: its text is null" in done.stderr
    assert list_runs(messy / "results") == []
    (config,) = load_recipe(str(messy / "study.toml"), []).runs
    assert find_prepared(config.data, messy / "results") is not None


def test_data_of_an_earlier_version_are_said_to_be_uncounted(messy: Path) -> None:
    check(messy)
    (answer,) = (messy / "results" / "data" / "requests").glob("*.json")
    kept = json.loads(answer.read_text())
    answer.write_text(json.dumps({key: kept[key] for key in ("folder", "signature")}))
    done = check(messy)
    assert done.exit_code == 0
    assert "prepared by an earlier version" in done.stderr


def test_text_that_a_tokenizer_changes_is_reported(messy: Path) -> None:
    document = json.loads((FILES / "plain.json").read_text())
    document["normalizer"] = {"type": "Replace", "pattern": {"String": "w"}, "content": ""}
    (messy / "t.json").write_text(json.dumps(document))
    done = check(messy, tokenizer=messy / "t.json")
    assert done.exit_code == 0
    assert "letters, such as 'w', do not come back" in done.stderr


def test_less_text_than_is_asked_for_is_counted_and_refused(messy: Path) -> None:
    done = check(messy, "--format", "json", unique_tokens=10**6)
    (counted,) = json.loads(done.stdout)["data"]
    assert counted["train_tokens"] > 1000
    assert isinstance(done.exception, InputError)
    assert "data.unique_tokens = 1000000" in str(done.exception)
    assert counted["problem"] in str(done.exception)


def test_a_corpus_that_cannot_be_read_hides_no_other(messy: Path) -> None:
    missing = f'data.mixture=[{{corpus = "{messy}/missing.txt", weight = 1}}]'
    assert isinstance(check(messy, "--set", missing).exception, InputError)
    (messy / "a.jsonl").write_text("\n".join((messy / "text.jsonl").read_text().split("\n")[:80]))
    corpora = json.dumps([str(messy / "a.jsonl"), str(messy / "missing.txt")])
    done = check(messy, "--format", "json", "--set", f'sweep."data.corpus"={corpora}')
    assert isinstance(done.exception, InputError)
    assert "missing.txt" in str(done.exception)
    assert len(json.loads(done.stdout)["data"]) == 1


def test_near_duplicates_of_training_text_are_counted(tmp_path: Path) -> None:
    lines = [json.dumps({"text": f"{text}{end}"}) for text in TEXTS for end in ("", " again")]
    (tmp_path / "text.jsonl").write_text("\n".join(lines))
    (counted,) = json.loads(check(tmp_path, "--format", "json").stdout)["data"]
    assert counted["duplicates"] == 0
    assert counted["near_duplicates"] > 0


def test_a_plan_says_that_it_has_not_read_the_text(messy: Path) -> None:
    check(messy)
    arguments = [str(messy / "study.toml"), "--results", str(messy / "none")]
    done = CliRunner().invoke(app, ["plan", *arguments], catch_exceptions=False)
    assert "has not been read" in done.stderr
    assert "workbench data check" in done.stderr
    assert not (messy / "none").exists()
