"""Notes: one entry is replaced, what others wrote stays, and a damaged file is never written."""

import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.errors import InputError
from workbench.runs.notes import Note, notes_path, read_notes, remove_note, write_note

NOTE = Note("study", "quickstart", "Ran on the laptop.", ("laptop", "first"))


def test_an_entry_is_read_back_from_a_line_that_people_can_read(tmp_path: Path) -> None:
    write_note(tmp_path, NOTE, seen=None)
    view = Note("view", "Früh überholt", address="crossover?study=quickstart")
    write_note(tmp_path, view, seen=None)
    assert list(read_notes(tmp_path).values()) == [NOTE, view]
    first, second = notes_path(tmp_path).read_text().splitlines()
    assert '"text": "Ran on the laptop."' in first
    assert "Früh überholt" in second
    remove_note(tmp_path, "study", "quickstart")
    assert list(read_notes(tmp_path).values()) == [view]
    with pytest.raises(InputError, match="there is no study quickstart"):
        remove_note(tmp_path, "study", "quickstart")


def test_a_change_of_somebody_else_is_not_overwritten(tmp_path: Path) -> None:
    seen = write_note(tmp_path, NOTE, seen=None)
    theirs = write_note(tmp_path, replace(NOTE, text="Theirs."), seen=seen)
    before = notes_path(tmp_path).read_bytes()
    with pytest.raises(InputError, match="changed meanwhile"):
        write_note(tmp_path, replace(NOTE, text="Mine."), seen=seen)
    with pytest.raises(InputError, match="was written meanwhile"):
        write_note(tmp_path, NOTE, seen=None)
    assert notes_path(tmp_path).read_bytes() == before
    write_note(tmp_path, replace(NOTE, text="Mine."), seen=theirs)
    assert read_notes(tmp_path)["study", "quickstart"].text == "Mine."


def test_keys_and_kinds_of_a_later_version_stay(tmp_path: Path) -> None:
    later = [
        {"kind": "study", "name": "quickstart", "text": "x", "colour": "red"},
        {"kind": "model", "name": "m", "size": 3},
    ]
    notes_path(tmp_path).write_text("\n".join(map(json.dumps, later)) + "\n\n")
    seen = read_notes(tmp_path)["study", "quickstart"]
    write_note(tmp_path, replace(seen, text="y"), seen=seen)
    first, second = map(json.loads, notes_path(tmp_path).read_text().splitlines())
    assert (first["text"], first["colour"]) == ("y", "red")
    assert second == later[1]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("{", "line 2"),
        ('["study"]', "expected a JSON object"),
        ('{"kind": "study", "name": 3}', "its name is no text"),
        ('{"kind": "study", "name": "a", "tags": "x"}', "its tags are no list"),
        ('{"kind": "study", "name": "quickstart"}', "a second entry"),
        ('{"kind": "study", "name": "a", "text": NaN}', "no number"),
    ],
)
def test_a_damaged_file_is_named_by_its_line_and_stays_as_it_is(
    line: str, why: str, tmp_path: Path
) -> None:
    write_note(tmp_path, NOTE, seen=None)
    path = notes_path(tmp_path)
    path.write_text(path.read_text() + line + "\n")
    before = path.read_bytes()
    with pytest.raises(InputError, match=why):
        read_notes(tmp_path)
    with pytest.raises(InputError, match="line 2: no entry of the notes"):
        write_note(tmp_path, Note("run", "a"), seen=None)
    assert path.read_bytes() == before


def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("secret\n")
    os.symlink(other, notes_path(tmp_path))
    with pytest.raises(InputError, match="link"):
        read_notes(tmp_path)
    with pytest.raises(InputError, match="link"):
        write_note(tmp_path, NOTE, seen=None)
    assert other.read_text() == "secret\n"


def test_what_is_too_long_or_has_no_name_is_refused(tmp_path: Path) -> None:
    for note in (replace(NOTE, text="x" * 20_001), replace(NOTE, name=" "), Note("thing", "a")):
        with pytest.raises(InputError):
            write_note(tmp_path, note, seen=None)
    assert not notes_path(tmp_path).exists()


def _write_many(results: Path, who: int) -> None:
    for number in range(20):
        write_note(results, Note("run", f"{who}-{number}", "x"), seen=None)


def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    writers = [spawn.Process(target=_write_many, args=(tmp_path, who)) for who in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(read_notes(tmp_path)) == 60
