"""Run ids name what decides a run's numbers: not where its text lies, nor how it is saved."""

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import RECIPE
from workbench.planning.plan import plan_study
from workbench.planning.prepare import prepare_study
from workbench.recipe import identity, load_recipe


@pytest.fixture
def text(tmp_path: Path, corpus: Path) -> Path:
    """The corpus in a folder that may be moved and spelt in other ways."""
    folder = tmp_path / "text"
    folder.mkdir()
    shutil.copy(corpus, folder / "text.txt")
    return folder


def ids(results: Path, corpus: Path | str, *overrides: str, sweep: str = "") -> list[str | None]:
    path = results.parent / "r.toml"
    document = RECIPE.format(corpus=corpus)
    path.write_text(document[: document.index("[sweep]")] + sweep)
    recipe = load_recipe(path, list(overrides))
    prepare_study(recipe, results)
    return [run.run_id for run in plan_study(recipe, results).runs]


def test_three_spellings_of_a_folder_are_one_run(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spellings = [text / "text.txt", "text/text.txt", text / ".." / "text" / "*.txt"]
    (first, *others) = [ids(tmp_path / "results", str(spelling)) for spelling in spellings]
    assert first != [None]
    assert others == [first, first]


def test_a_recipe_with_three_spellings_plans_one_run_of_each_objective(
    text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spellings = f'["{text}/text.txt", "text/text.txt", "{text}/../text/text.txt"]'
    sweep = f'[sweep]\n"data.corpus" = {spellings}\n"training.objective" = ["ar", "mdlm"]\n'
    found = ids(tmp_path / "results", "x.txt", sweep=sweep)
    assert len(found) == len(set(found)) == 2


def test_runs_that_are_not_known_yet_are_all_planned(text: Path, tmp_path: Path) -> None:
    """Before the text is prepared nobody can say which are one."""
    path = tmp_path / "r.toml"
    document = RECIPE.format(corpus="x.txt")
    path.write_text(
        document[: document.index("[sweep]")] + f'[sweep]\n"data.corpus" = ["{text}/text.txt", '
        f'"{text}/../text/text.txt"]\n'
    )
    runs = plan_study(load_recipe(path), tmp_path / "results").runs
    assert [run.run_id for run in runs] == [None, None]


def test_a_folder_that_has_moved_is_prepared_anew_and_is_the_same_run(
    text: Path, tmp_path: Path
) -> None:
    before = ids(tmp_path / "results", text / "text.txt")
    text.rename(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "results")
    assert ids(tmp_path / "results", tmp_path / "elsewhere" / "text.txt") == before


@pytest.mark.parametrize(
    "override",
    [
        "training.checkpoint_every=5",
        "training.checkpoint_points=3",
        "training.activation_checkpointing=true",
        "launcher.local.runs_per_gpu=4",
        "study.name=another",
    ],
)
def test_what_moves_no_number_makes_no_other_run(
    override: str, corpus: Path, tmp_path: Path
) -> None:
    assert ids(tmp_path / "results", corpus, override) == ids(tmp_path / "results", corpus)


@pytest.mark.parametrize(
    "override",
    [
        "training.seed=1",
        "data.seed=1",
        "training.lr=2e-3",
        "data.validation_tokens=1024",
        "data.validation_documents=40",
        "evaluation.points=4",
        "evaluation.validation_draws=3",
        "evaluation.validation_draws_last=3",
    ],
)
def test_what_moves_numbers_makes_another_run(override: str, corpus: Path, tmp_path: Path) -> None:
    mdlm = "training.objective=mdlm"
    plain = ids(tmp_path / "results", corpus, mdlm)
    assert ids(tmp_path / "results", corpus, mdlm, override) != plain


def test_another_text_at_the_same_place_is_another_run(text: Path, tmp_path: Path) -> None:
    path = text / "text.txt"
    before = ids(tmp_path / "results", path)
    path.write_text(path.read_text() + "\n\nand one document more\n")
    os.utime(path, (1, 1))
    assert ids(tmp_path / "results", path) != before


def test_another_protocol_of_evaluation_makes_another_run(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = ids(tmp_path / "results", corpus)
    monkeypatch.setattr(identity, "PROTOCOL", 3)
    assert ids(tmp_path / "results", corpus) != before


def test_a_second_validation_set_is_its_content(text: Path, tmp_path: Path) -> None:
    def with_set(path: Path) -> list[str | None]:
        extra = f'data.validation_extra=[{{name="own", path="{path}", tokens=512}}]'
        return ids(tmp_path / "results", text / "text.txt", extra)

    other = tmp_path / "other.txt"
    other.write_text("\n\n".join(f"some text {i * i} to be read" for i in range(60)))
    first = with_set(other)
    moved = other.rename(tmp_path / "moved.txt")
    assert with_set(moved) == first
    moved.write_text(moved.read_text() + "\n\nmore of it\n")
    assert with_set(moved) != first
    assert first != ids(tmp_path / "results", text / "text.txt")
