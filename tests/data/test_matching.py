"""Which files a path names: what is passed over is counted, and what cannot be read is refused."""

import json
import os
import shutil
from pathlib import Path

import pytest

from tests.data.read import FILES, read, texts_of
from workbench.errors import InputError
from workbench.planning.prepare import prepare_study
from workbench.recipe import load_recipe


def write(path: Path, *texts: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() == ".jsonl":
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    else:
        path.write_text("\n".join(texts))
    return path


def test_a_folder_is_read_whole_but_for_what_is_hidden() -> None:
    texts, counts = read(FILES / "folder-half-read" / "shards")
    assert len(texts) == 480
    assert counts.passed_over == {"hidden": 1}


def test_hidden_files_and_folders_are_passed_over_below_a_hidden_root(tmp_path: Path) -> None:
    folder = tmp_path / ".cache" / "corpus"
    for name in ("a.txt", "deep/er/b.txt", ".old.txt", "deep/.git/c.txt", "deep/._a.txt"):
        write(folder / name, name)
    texts, counts = read(folder, document="file")
    assert texts == ["a.txt", "deep/er/b.txt"]
    assert counts.passed_over == {"hidden": 3}


def test_links_to_folders_are_passed_over_and_links_to_files_read(tmp_path: Path) -> None:
    write(tmp_path / "blobs" / "one", "one")
    write(tmp_path / "texts" / "a.txt", "a")
    (tmp_path / "texts" / "b.txt").symlink_to(tmp_path / "blobs" / "one")
    (tmp_path / "texts" / "around").symlink_to(tmp_path)
    texts, counts = read(tmp_path / "texts")
    assert texts == ["a", "one"]
    assert counts.passed_over == {"links to folders": 1}


def test_a_part_of_a_folder_that_cannot_be_read_is_no_missing_text(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.txt", "a")
    write(tmp_path / "locked" / "b.txt", "b")
    scan = os.scandir

    def locked(path: str) -> object:
        if str(path).endswith("locked"):  # the tests run as root, whom nothing is forbidden
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", locked)
    with pytest.raises(InputError, match="locked: cannot be read: Permission denied"):
        texts_of(tmp_path)


def test_what_lies_beside_the_texts_is_counted_by_ending_and_read_when_listed(
    tmp_path: Path,
) -> None:
    for name in ("a.txt", "b.TXT", "c.py", "d.py", "README", "e.Rst", "f.json"):
        write(tmp_path / name, name)
    texts, counts = read(tmp_path, document="file")
    assert texts == ["a.txt", "b.TXT"]
    assert counts.passed_over == {".py": 2, ".rst": 1, ".json": 1, "no ending": 1}
    assert texts_of(tmp_path, document="file", suffixes=[".py", ".rst"]) == [
        "c.py",
        "d.py",
        "e.Rst",
    ]


def test_a_folder_without_texts_is_refused_with_what_it_has(tmp_path: Path) -> None:
    for name in ("a.csv", "b.csv", "c.md"):
        write(tmp_path / name, "text", name)
    with pytest.raises(InputError, match=r'2 \.csv, 1 \.md.*data\.suffixes = \["\.csv"\]'):
        texts_of(tmp_path)
    assert texts_of(tmp_path, suffixes=[".csv"]) == ["a.csv", "b.csv"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no \.txt, \.jsonl, \.parquet file.*empty"):
        texts_of(tmp_path / "empty")


def test_a_file_of_an_unknown_type_is_refused_or_listed_as_text(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tex", "one", "two")
    write(tmp_path / "b.jsonl", "three")
    for corpus in (path, tmp_path / "*"):
        with pytest.raises(InputError, match=r'a\.tex.*"\.tex" are not read.*suffixes = \["\.tex"'):
            texts_of(corpus)
    assert texts_of(tmp_path / "*", suffixes=[".tex"]) == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("name", "way"), [("a.tar.gz", "Unpack the archive"), ("README", r"add \.txt to its name")]
)
def test_what_cannot_be_listed_has_another_way_out(name: str, way: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=rf"{name}: .*are not read.*{way}"):
        texts_of(write(tmp_path / name, "x"))


def test_source_code_and_notes_are_read_where_they_are_named(tmp_path: Path) -> None:
    write(tmp_path / "src" / "a.py", "import os")
    write(tmp_path / "src" / "deep" / "b.py", "import sys")
    write(tmp_path / "src" / "notes.md", "# Notes")
    assert texts_of(tmp_path / "src" / "**" / "*.py") == ["import os", "import sys"]
    assert texts_of(tmp_path / "src" / "notes.md") == ["# Notes"]


def test_what_would_never_end_is_no_corpus(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jsonl")
    with pytest.raises(InputError, match=r"pipe\.jsonl: neither a file nor a folder"):
        texts_of(tmp_path / "pipe.jsonl")


def test_spellings_of_a_path_and_a_moved_folder_are_one_run(
    recipe: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    texts = tmp_path / "texts"
    write(texts / "a.jsonl", *(f"document {i} of many, about {i % 17}" for i in range(900)))
    write(texts / "notes.md", "not read")
    monkeypatch.chdir(tmp_path)
    spellings = ["texts", "./texts/", "texts/../texts", "texts/*.jsonl", str(texts)]
    loaded = load_recipe(recipe, ["sweep.data.corpus=" + json.dumps(spellings)])
    ids = {run.run_id for run in prepare_study(loaded, tmp_path / "r").runs}
    objectives = {run.training.objective for run in loaded.runs}
    assert len(ids) == len(objectives), "one run an objective, however the text is spelt"
    assert "Note: texts: passed over: 1 .md. data.suffixes says" in capsys.readouterr().err
    shutil.move(texts, tmp_path / "moved")
    moved = load_recipe(recipe, ['data.corpus="moved"'])
    assert {run.run_id for run in prepare_study(moved, tmp_path / "r").runs} <= ids
