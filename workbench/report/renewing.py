"""The studies of a Markdown document, a section each, so that single ones can be made again."""

import re
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import InputError

_LINK = re.compile(r"^- \[(?P<question>.*)\]\(#(?P<study>[^()]+)\)$", re.MULTILINE)


@dataclass(frozen=True)
class StudySection:
    """One study of a document: its name, what it asks, and its text from the heading on."""

    study: str
    question: str
    text: str


def read_sections(path: Path) -> list[StudySection]:
    """The sections of a document that `write_markdown` wrote, in order, as they stand there.

    Raises:
        InputError: the file cannot be read, or is no such document.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--renew {path}: cannot be read: {error}.") from None
    asked = {link["study"]: link["question"] for link in _LINK.finditer(text)}
    starts = {study: _start(text, study) for study in asked}
    lost = [study for study, start in starts.items() if start is None]
    if lost or not asked:
        what = f"no section ## {', ## '.join(lost)}" if lost else "no list of studies"
        raise InputError(
            f"--renew {path}: {what}, so it is not a document of `workbench report`. Leave out "
            "--renew to write it as a whole."
        )
    found = sorted((start, study) for study, start in starts.items() if start is not None)
    ends = [start for start, _ in found[1:]] + [len(text)]
    return [
        StudySection(study, asked[study], text[start:end].strip() + "\n")
        for (start, study), end in zip(found, ends, strict=True)
    ]


def _start(text: str, study: str) -> int | None:
    found = re.search(rf"^## {re.escape(study)}$", text, re.MULTILINE)
    return found.start() if found else None


def renewed(old: list[StudySection], new: list[StudySection]) -> list[StudySection]:
    """The old sections, with new ones in the places of those of the same study, and the others of
    the new ones at the end."""
    made = {section.study: section for section in new}
    kept = [made.pop(section.study, section) for section in old]
    return kept + list(made.values())
