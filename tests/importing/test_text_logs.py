"""Lines of text, read with a regular expression of named groups."""

import time
from pathlib import Path

import pytest

from workbench.errors import InputError
from workbench.importing.importer import preview, read_source
from workbench.importing.request import Request

FILES = Path(__file__).parent / "tables"
FACTS = {"objective": "ar", "n_params": "1e6", "unique_tokens": "1e5"}
TITAN = r"step:\s+(?P<step>\d+)\s.*loss:\s+(?P<train_loss>\S+).*tokens: (?P<tokens>[\d,]+)"


def points(path: Path, pattern: str, **columns: str) -> list[tuple[object, ...]]:
    request = Request(columns={**FACTS, **columns}, pattern=pattern)
    frame = read_source(path, request).frame
    return frame.select("metric", "step", "total_tokens", "value").rows()


def test_a_coloured_log_of_a_resumed_run_gives_the_attempt_that_counts() -> None:
    rows = points(FILES / "titan.log", TITAN)
    first = [(s, 2048 * s, round(8 - s / 50, 4)) for s in range(10, 110, 10)]
    second = [(s, 2048 * s, round(7.5 - s / 50, 4)) for s in range(110, 140, 10)]
    assert rows == [("train_loss", *row) for row in first + second]
    notes = read_source(FILES / "titan.log", Request(columns=FACTS, pattern=TITAN)).notes
    assert any("line 18: steps go back from 150 to 110: 10 points" in note for note in notes)


def test_several_metrics_each_on_lines_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "train.log"
    path.write_text("iter 10 loss 4.5\niter 10: val 4.4\nno number\niter 20 loss 4.1\n")
    rows = points(
        path, r"iter (?P<step>\d+)(?: loss (?P<train_loss>\S+)|: val (?P<val_loss>\S+))",
        tokens_per_step="1000",
    )  # fmt: skip
    assert rows == [
        ("train_loss", 10, 10_000, 4.5), ("train_loss", 20, 20_000, 4.1),
        ("val_loss", 10, 10_000, 4.4),
    ]  # fmt: skip


def test_a_folder_of_logs_has_a_run_in_each(tmp_path: Path) -> None:
    for name in ("1m_2e_ar_1m", "1m_2e_difflm_1m"):
        (tmp_path / f"{name}.log").write_text("s 1 l 4.0\ns 2 l 3.0\n")
    rows, _ = preview(tmp_path, Request(pattern=r"s (?P<step>\d) l (?P<val_loss>\S+)"))
    assert [(r["objective"], r["points"], r["last_tokens"]) for r in rows] == [
        ("ar", 2, 2_000_000), ("mdlm", 2, 2_000_000),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        (r"loss (?P<train_loss>\S+)", ["groups train_loss", "needed are step"]),
        (r"(?P<step>\d+)", ["one for each metric"]),
        (r"(?P<step>\d+", ["--pattern", "unclosed group"]),
        (r"(?P<step>\d+)(?=x)(?P<val_loss>.)", ["look", "not possible"]),
        (r"(?P<step>\d+)(?P<val_loss>.)\1", ["backreferences"]),
        (r"nothing (?P<step>\d+) (?P<val_loss>.)", ["titan.log", "no line", "matches"]),
        (r"(?P<step>INFO) - (?P<val_loss>.*)", ["titan.log", "line 1", "step", "'INFO'"]),
        (r"step:\s+(?P<step>\d+).*(?P<val_loss>GiB)", ["line 2", "val_loss", "'GiB'"]),
    ],
)
def test_a_pattern_that_does_not_fit_is_refused(pattern: str, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        points(FILES / "titan.log", pattern)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("bad", [r"(a+)+$", r"(a|aa)+$", r"(.*a){20}$"])
def test_no_pattern_takes_exponential_time(tmp_path: Path, bad: str) -> None:
    path = tmp_path / "t.log"
    path.write_text("step 1 " + "a" * 5000 + "!\n")
    begun = time.process_time()
    with pytest.raises(InputError, match="no line"):
        points(path, rf"step (?P<step>\d+) (?P<val_loss>{bad})")
    assert time.process_time() - begun < 5
