"""What would command a terminal is shown, whichever command prints it and wherever it is from."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.made_runs import MakeRun
from workbench.cli import root
from workbench.terminal import shown

COMMANDS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
HOSTILE = "\x1b]52;c;cm0gLXJm\x07\x1b[2J\x9b31m\u202egnp.exe\r\x08\x7f"


def hostile_results(make_run: MakeRun) -> Path:
    run = make_run("a" * 12, {8: 3.0}, state="failed")
    document = json.loads(run.config_path.read_text())
    document["config"]["model"]["size"] = "25M" + HOSTILE
    run.config_path.write_text(json.dumps(document))
    run.write_status(error=f"an error {HOSTILE}")
    run.log_path.write_text(f"a log line {HOSTILE}\n")
    with open(run.records_path, "a") as records:
        line = json.loads(run.records_path.read_text().splitlines()[0])
        records.write(json.dumps(line | {"metric": f"val_loss{HOSTILE}"}) + "\n")
    return run.results


def printed(
    arguments: list[str], patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """What a command prints, in this process and by its own entry point."""
    patch.setattr(sys, "argv", ["workbench", *arguments])
    for stream in ("stdout", "stderr"):  # put back when the test ends
        patch.setattr(sys, stream, getattr(sys, stream))
    with pytest.raises(SystemExit):
        root.main()
    captured = capsys.readouterr()
    return captured.out + captured.err


@pytest.mark.parametrize("form", ["table", "json", "csv"])
def test_no_command_sends_what_a_foreign_file_says_to_the_terminal(
    form: str,
    make_run: MakeRun,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = hostile_results(make_run)
    recipe = results / "hostile.toml"
    recipe.write_text(f"[study]\nname = {json.dumps(HOSTILE)}\nquestion = '\u202e'\n[data]\n")
    asked = "SELECT r.*, m.metric FROM runs r, metrics m"
    for words in (
        ("status", "--results", results, "--format", form),
        ("sql", asked, "--results", results, "--format", form),
        ("sql", f"SELECT '{HOSTILE}'", "--results", results, "--format", form),
        ("plan", recipe, "--results", results, "--format", form),
        ("plan", f"no\x1b[2Jrecipe{HOSTILE}"),
        ("cancel", HOSTILE, "--results", results),
        ("ingest", "--results", results),
    ):
        text = printed([str(word) for word in words], monkeypatch, capsys)
        assert not COMMANDS.search(text), words
        assert "Internal error" not in text


def test_json_still_says_what_is_stored(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = hostile_results(make_run)
    words = ["status", "--results", str(results), "--format", "json"]
    (row,) = json.loads(printed(words, monkeypatch, capsys))
    assert row["error"] == f"an error {HOSTILE}"


def test_a_terminal_gets_our_colours_and_nobody_elses() -> None:
    code = f"""
import sys
from workbench.cli.output import emit
from workbench.recipe import load_recipe
from workbench.running.progress import Progress, RunView
from workbench.runs.folder import RunStatus
from workbench.terminal import guard
guard()
hostile = {HOSTILE!r}
emit([{{"name": hostile, hostile: 1}}], "table")
print(hostile)
with Progress("study", {{"a": RunView("label" + hostile, 3, RunStatus(state="running"))}}) as shown:
    shown.say("a log line " + hostile)
    print("a warning " + hostile, file=sys.stderr)
"""
    main, side = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=side, stderr=side, env=env)
    os.close(side)
    out = b""
    while True:
        try:
            out += os.read(main, 65_536)
        except OSError:  # the other end is closed
            break
    assert process.wait() == 0
    text = out.decode()
    assert "\x1b[" in text, "a live table moves the cursor"
    for command in ("\x1b]", "\x1b[2J", "\x9b", "\u202e", "\x07", "\x08", "\x7f"):
        assert command not in text
    assert text.count("\\u001b]52") >= 4


def test_tabs_line_ends_and_letters_of_all_scripts_stay() -> None:
    text = "a\tb\nc\r\n\u05d0\u05d1 \u0639\u0631\u0628 \u4e2d\u6587 \U0001f600 e\u0301 \u200d"
    assert shown(text) == text
