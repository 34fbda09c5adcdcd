"""The numbers and the program of docs/advice.md."""

import re
from pathlib import Path

import pytest

from workbench.laws.critical_source import Question
from workbench.laws.evidence import Evidence, gather, published

PAGE = (Path(__file__).parents[2] / "docs" / "advice.md").read_text()
NUMBER = r"\d\.\de\d\d"
SHIPPED = gather(Path("no results"))


@pytest.mark.parametrize(("name", "unique"), [("0.5B", 5e8), ("1B", 1e9), ("10B", 1e10)])
def test_the_table_of_the_shipped_curves_is_what_the_workbench_says(
    name: str, unique: float
) -> None:
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| {name} |"))
    cells = [re.findall(NUMBER, cell) for cell in line.split("|")[2:-1]]
    used = SHIPPED.about(Question(unique)).used
    shown = [
        [
            f"{p.compute:.1e}"
            for definition in ("point", "best_so_far")
            for p in SHIPPED.measured
            if (p.unique_tokens, p.metric, p.definition) == (unique, metric, definition)
        ]
        for metric in ("val_loss", "hellaswag_acc_norm", "mmlu_acc_norm")
    ]
    if unique == 1e10:  # one bound for both readings
        shown = [readings[:1] for readings in shown]
    values = [used.expected, *used.range]
    assert None not in values
    expected = [f"{value:.1e}" for value in values if value is not None]
    assert cells == [[n.replace("+", "") for n in row]
                     for row in [*shown, expected, [f"{published(unique):.1e}"]]]  # fmt: skip


def test_what_each_budget_says_of_the_other_is_what_the_page_has() -> None:
    found = re.search(rf"1B says ({NUMBER}) to ({NUMBER}) for\s0.5B, and 0.5B says ({NUMBER}) to "
                      rf"({NUMBER}) for 1B", PAGE)  # fmt: skip
    assert found
    ends = []
    for unique in (5e8, 1e9):
        others = Evidence([p for p in SHIPPED.measured if p.unique_tokens != unique])
        ends += [f"{end:.1e}".replace("+", "") for end in others.about(Question(unique)).used.range]
    assert list(found.groups()) == ends


def test_the_page_s_program_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(program, {})
    assert "Used: measured crossovers" in capsys.readouterr().out
