"""The examples of docs/formats.md read the tests' own files."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from workbench.cli import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "formats.md").read_text()
CURVES = PAGE[PAGE.index("## Curves") : PAGE.index("## Corpora")]
EXAMPLES = re.findall(r"^workbench (import .*|fit .*)$", CURVES, re.MULTILINE)


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_reads_its_file(
    example: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    quick = " --dry-run" if example.startswith("import") else " --starts 1 --resamples 0"
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", ["workbench", *shlex.split(example + quick)])
    with pytest.raises(SystemExit) as ended:
        main()
    output = capsys.readouterr()
    assert ended.value.code in (0, None), output.err
    assert "loss" in output.out or "alpha" in output.out
