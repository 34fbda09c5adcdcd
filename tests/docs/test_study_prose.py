"""Numbers in the prose of docs/studies.md stand in the study's tables, or name what gives them.

A sentence passes if each of its numbers is, rounded as it is written, a number of the section's
tables or of those of another study that the sentence names; or if it names, in backquotes, the
`workbench` command that gives them; or if it cites the paper that they are from.
"""

import re
import tomllib
from pathlib import Path

import pytest

from tests.docs.command_lines import inline_commands, unknown_names
from workbench.report.study_notes import HEADINGS as NOTES

DOCS = Path(__file__).parents[2] / "docs"
NOTES_FILE = tomllib.loads((DOCS / "studies.toml").read_text())
SECTIONS = {
    found[1]: found[2]
    for found in re.finditer(
        r"^## (\S+)\n(.*?)(?=^## |\Z)", (DOCS / "studies.md").read_text(), re.MULTILINE | re.DOTALL
    )
}
NUMBER = re.compile(r"(?<![\w.,])(-?)(\d[\d,]*\d|\d)(\.\d+)?(e[+-]?\d+)?( ?%|[kMB]\b)?")
NO_NUMBER = re.compile(r"`[^`]*`|arXiv[: ][\d.]+|Figures? \d+|\b1/t\b|!\[.*?\]\(.*?\)")
UNITS = {"%": 0.01, "k": 1e3, "M": 1e6, "B": 1e9, "": 1.0}


def numbers(text: str) -> list[tuple[str, float, float]]:
    """Each number as it is written, its value, and half a unit of its last digit."""
    found = []
    for match in NUMBER.finditer(NO_NUMBER.sub(" ", text)):
        sign, whole, fraction, exponent, unit = (part or "" for part in match.groups())
        scale = UNITS[unit.strip()] * 10.0 ** int(exponent[1:] or 0)
        value = float(sign + whole.replace(",", "") + fraction)
        digits = len(fraction) - 1 if fraction else 0
        found.append((match[0].strip(), value * scale, 0.5 * 10.0**-digits * scale))
    return found


def tables_of(section: str) -> list[float]:
    """The numbers of what the report wrote above the paragraphs of the notes."""
    tables = re.split(r"^\*\*(?:Agrees with|Does not agree|Likeliest)", section, flags=re.MULTILINE)
    return [value for _, value, _ in numbers(tables[0].replace("|", " | "))]


def unfounded(prose: str, study: str, sections: dict[str, str]) -> list[str]:
    """The sentences of a paragraph with numbers that nothing gives, those numbers first."""
    missing = []
    for sentence in re.split(r"(?<=[.?!])\s+(?=[A-Z`])", " ".join(prose.split())):
        if "arXiv" in sentence or re.search(r"`workbench [^`]*`", sentence):
            continue
        named = [name for name in re.findall(r"`([\w-]+)`", sentence) if name in sections]
        known = [value for name in [study, *named] for value in tables_of(sections[name])]
        strange = [
            written
            for written, value, half in numbers(sentence)
            if not any(abs(value - other) <= half * 1.001 for other in known)
        ]
        if strange:
            missing.append(f"{', '.join(strange)} in: {sentence}")
    return missing


@pytest.mark.parametrize("study", SECTIONS)
def test_each_number_of_the_prose_is_in_the_tables_or_names_what_gives_it(study: str) -> None:
    notes = NOTES_FILE.get(study, {})
    missing = [
        f"{study}, {key}: {line}"
        for key in NOTES
        for line in unfounded(notes.get(key, ""), study, SECTIONS)
    ]
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("study", NOTES_FILE)
def test_the_document_has_the_notes_as_they_are(study: str) -> None:
    for key in NOTES:
        assert NOTES_FILE[study].get(key, "").strip() in SECTIONS[study], f"{study}, {key}"


@pytest.mark.parametrize("study", SECTIONS)
def test_commands_that_the_prose_names_exist(study: str) -> None:
    prose = " ".join(str(text) for text in NOTES_FILE.get(study, {}).values())
    for line in inline_commands(prose):
        assert not unknown_names(line), line


SECTION = """
**Asks?** 30 runs, 5 seeds, 49,152,000 tokens, 6.1e+13 training FLOPs.

| objective | n_params | best | interval |
|---|---|---|---|
| ar | 49,760 | 2.555 | -0.012 to 20.352 |
| mdlm | 0.1 | > 128 | 2.417 |

**Agrees with the claim.** 77 here is prose and founds nothing.
"""


@pytest.mark.parametrize(
    "prose",
    [
        "The best is 2.56, or 2.555, or 2.6, with 0.05M parameters, at 20 (-0.01 to 20.4).",
        "Dropout of 10 % in 5 seeds, 49.2M tokens and 6.1e13 FLOPs.",
        "It is 99 (`workbench difference made --at best`).",
        "The paper has 99 (arXiv 2511.03276).",
        "As in Figure 13 of `cpu-figure-13`, with 1/t.",
        "`other` has 77.5.",
    ],
)
def test_a_number_of_the_tables_is_found_however_it_is_rounded(prose: str) -> None:
    assert not unfounded(prose, "made", {"made": SECTION, "other": "| 77.51 |"})


@pytest.mark.parametrize(
    ("prose", "wrong"),
    [
        ("The best is 2.54.", "2.54"),
        ("At 20.4 (0.01 to 20.4).", "0.01"),
        ("After 77 epochs.", "77"),
        ("It has 0.06M parameters.", "0.06M"),
        ("Dropout of 20 % helps.", "20 %"),
        ("It is 2.56. By another measure (`workbench outcomes made`) 3. Then 44.", "44"),
        ("`nothing` has 77.5.", "77.5"),
    ],
)
def test_a_number_that_nothing_gives_is_named_with_its_sentence(prose: str, wrong: str) -> None:
    (missing,) = unfounded(prose, "made", {"made": SECTION, "other": "| 77.51 |"})
    assert missing.startswith(f"{wrong} in: ")
