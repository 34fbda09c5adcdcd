"""Running one command of the documents."""

import contextlib
import io
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from workbench.cli import main


@dataclass(frozen=True)
class Done:
    """What came of a command: its exit status, and what it wrote to stdout and stderr."""

    status: object
    printed: str
    errors: str


def execute(words: list[str]) -> Done:
    """Run a command here: the workbench in this process, `make` without making anything."""
    if words[0] == "make":
        words = ["make", "--dry-run", *words[1:]]
    if words[0] != "workbench":
        line = " ".join(word if word in "<>" else _quoted(word) for word in words)
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
        return Done(done.returncode, done.stdout, done.stderr)
    words, file = (words[:-2], words[-1]) if ">" in words else (words, None)
    out, err = io.StringIO(), io.StringIO()
    status: object = 0
    before = sys.argv
    sys.argv = ["workbench", *words[1:]]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            main()
    except SystemExit as end:
        status = end.code or 0
    finally:
        sys.argv = before
        os.environ.pop("WORKBENCH_DEBUG", None)
    if file is not None:
        Path(file).write_text(out.getvalue())
    return Done(status, out.getvalue(), err.getvalue())


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "'\\''") + "'"
