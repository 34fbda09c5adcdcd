"""Every file that the workbench reads, damaged in every way that applies, and what is said of it.

python benchmarks/corruptions.py [--only WORD] [--quick] [--keep]

A small trained study is copied, one file is damaged, and a command runs on the copy (as a user who
may not read it, where that is the damage). It passes where the command answers as it did before the
damage, or names the file and ends with status 1 or 2 (or 0, for a warning); where there is no
traceback and no internal error; and where no other file of a run has changed. Exit status 1 where
anything failed. `--quick` leaves out the commands that load torch.
"""

import argparse
import encodings.utf_8_sig  # noqa: F401 - a process without rights could not import the codec
import hashlib
import importlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl
from commands import workbench
from small_study import write_small_study

NOBODY = 65534
LIMIT_S = 60


def _json(change: Callable[[dict], object]) -> Callable[[bytes], bytes]:
    def damage(content: bytes) -> bytes:
        document = json.loads(content)
        changed = change(document)
        return json.dumps(document if changed is None else changed).encode()

    return damage


GARBAGE = random.Random(0).randbytes(4096)
ANY: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut in half": lambda content: content[: len(content) // 2],
    "cut by some bytes": lambda content: content[:-7],
    "garbage": lambda content: GARBAGE,
    "garbage of the same size": lambda content: (GARBAGE * (len(content) // 4096 + 1))[
        : len(content)
    ],
    "zeros": lambda content: bytes(len(content)),
    "another kind of text": lambda content: b"Dear diary,\ntoday nothing happened.\n",
    "UTF-16": lambda content: "{}\n".encode("utf-16"),
    "doubled": lambda content: content + content,
}
JSON: dict[str, Callable[[bytes], bytes]] = {
    "a list": lambda content: b"[]",
    "a number": lambda content: b"3",
    "null": lambda content: b"null",
    "no keys": lambda content: b"{}",
    "nested 100,000 deep": lambda content: b"[" * 100_000,
    "values null": _json(lambda document: dict.fromkeys(document)),
    "values lists": _json(lambda document: {key: [] for key in document}),
    "values words": _json(lambda document: dict.fromkeys(document, "x")),
    "a first key less": _json(lambda document: document.pop(next(iter(document))) and None),
}
NEWER = {"a newer version": _json(lambda document: {**document, "schema": 99, "format": 99})}
# Nobody can tell a file of lines that was cut from one that is not yet longer; and twice the same
# lines are what a resumed run leaves.
LINES = {
    "a line of garbage": lambda content: content + b"\x00\xff garbage\n",
    "a line that is no object": lambda content: content + b"[1, 2]\n",
    "a line nested 100,000 deep": lambda content: content + b"[" * 100_000 + b"\n",
    "a line of words": lambda content: content + b'{"step": "x", "metric": "y"}\n',
}
UNTOLD = ("empty", "doubled", "cut in half", "cut by some bytes")
SAME_KIND = ("a link to another's",)  # as good as any


@dataclass(frozen=True)
class Kind:
    """A kind of file: where one is, how it is damaged, which commands read it."""

    name: str
    pattern: str
    commands: tuple[str, ...]
    damages: dict[str, Callable[[bytes], bytes]]
    lenient: tuple[str, ...] = ()
    """Damages that a reader cannot know of."""


KINDS = [
    Kind("recipe", "small.toml", ("plan", "run"), ANY),
    Kind("tokenizer", "tokenizer.json", ("plan", "run", "sample"), ANY | JSON),
    Kind("config", "results/runs/*/config.json", ("status", "ingest", "sql", "run", "sample"),
         ANY | JSON | NEWER, SAME_KIND),
    Kind("provenance", "results/runs/*/provenance.json", ("status", "ingest", "run"), ANY | JSON),
    Kind("status", "results/runs/*/status.json", ("status", "ingest", "run"), ANY | JSON),
    Kind("records", "results/runs/*/records.jsonl", ("status", "unsealed", "run"), ANY | LINES,
         ("empty", "doubled", *SAME_KIND)),
    Kind("sealed", "results/runs/*/records.parquet", ("status", "ingest", "sql", "run"), ANY,
         SAME_KIND),
    Kind("study", "results/studies/small.json", ("status", "ingest", "run", "cancel"), ANY | JSON,
         ("missing",)),
    Kind("store", "results/workbench.duckdb", ("ingest", "sql", "crossover", "export"), ANY),
    Kind("manifest", "results/data/*/manifest.json", ("run", "sample"), ANY | JSON | NEWER),
    Kind("tokens", "results/data/*/train.bin", ("run another",), ANY),
    Kind("held-out", "results/data/*/held_out.bin", ("run another",), ANY),
    Kind("held-out documents", "results/data/*/held_out_documents.npy", ("run another",), ANY),
    Kind("checkpoint metadata", "results/runs/*/checkpoint/step-*/.metadata", ("sample",), ANY),
    Kind("checkpoint", "results/runs/*/checkpoint/step-*/__0_0.distcp", ("sample",), ANY),
    Kind("task", "task.jsonl", ("eval",), ANY | LINES, UNTOLD),
    Kind("table", "table.csv", ("import csv",), ANY, UNTOLD),
    Kind("Parquet table", "table.parquet", ("import parquet", "fit"), ANY),
    Kind("events", "events/*/events.out.tfevents.1.x", ("import events",), ANY,
         (*UNTOLD, "missing", "a folder", "a link to nowhere", "a link to itself")),
    Kind("dataset's marker", "dataset/_workbench.json", ("from", "export"), ANY | JSON | NEWER),
    Kind("dataset's runs", "dataset/runs/part-0.parquet", ("from", "export"), ANY,
         ("missing", "a link to nowhere", "a link to itself")),
    Kind("dataset's numbers", "dataset/metrics/*/*/part-0.parquet", ("from", "export"), ANY,
         SAME_KIND),
    Kind("calibration", "results/calibration.json", ("plan",), ANY | JSON),
]  # fmt: skip

COMMANDS = {
    "plan": "plan {base}/small.toml --format json",
    "run": "run {base}/small.toml",
    "run another": "run {base}/small.toml --set training.seed=1 --set training.objective=ar",
    "status": "status --format json",
    "ingest": "ingest --rebuild",
    "unsealed": "ingest --rebuild",
    "sql": "sql --format json",
    "crossover": "crossover small --format json",
    "cancel": "cancel small",
    "sample": "sample {run} --prompt def --tokens 4 --format json",
    "eval": "eval {run} --tasks hellaswag --task-file hellaswag={base}/task.jsonl --no-record "
    "--format json",
    "import csv": "import {base}/table.csv --study imported",
    "import parquet": "import {base}/table.parquet --study imported",
    "import events": "import {base}/events --study imported",
    "fit": "fit --table {base}/table.parquet --law chinchilla --resamples 0 --format json",
    "from": "sql --from {base}/dataset --format json",
    "export": "export parquet {base}/dataset",
}
QUESTION = """SELECT objective, state, count(*) AS n, fsum(value)::FLOAT AS total,
              count(json_keys(config)) AS keys
              FROM curves JOIN runs USING (run_id, objective, state)
              WHERE metric <> 'tokens_per_second'
              GROUP BY ALL ORDER BY ALL"""
TORCH = ("sample", "eval", "run another")


# A user without rights may not find what Python imports late.
IMPORTED = (
    "workbench.cli", "workbench.running.control", "workbench.store",
    "workbench.store.parquet.export", "workbench.store.parquet.mirror",
    "pprint", "timeit", "fileinput",
    "unittest", "encodings.utf_16_be", "encodings.raw_unicode_escape",
    "encodings.unicode_escape", "pydoc",
)  # fmt: skip


def special(path: Path, how: str, other: Path) -> None:
    """Damages that are of the file and not of its content."""
    path.unlink()
    if how == "a folder":
        path.mkdir()
    elif how == "unreadable":
        path.write_text("secret")
        path.chmod(0)
        os.chown(path, 0, 0)
    elif how == "a link to nowhere":
        path.symlink_to("/nowhere/at/all")
    elif how == "a link to itself":
        path.symlink_to(path)
    elif how == "a link elsewhere":
        path.symlink_to("/etc/passwd")
    elif how == "a link to another's":
        path.symlink_to(other)


SPECIAL = ("missing", "a folder", "unreadable", "a link to nowhere", "a link to itself",
           "a link elsewhere", "a link to another's")  # fmt: skip


def make_base(base: Path) -> None:
    """A trained study with everything that a command reads."""
    tokenizer = f'tokenizer = "{base}/tokenizer.json"'
    sizes = "unique_tokens = 1_024\nvalidation_tokens = 1_024"
    texts = write_small_study(base, documents=120, data=f"{tokenizer}\n{sizes}")
    rows = [
        {"ctx": text, "endings": ["def class", "raise value", "token", "index"], "label": 1}
        for text in texts[:8]
    ]
    (base / "task.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    points = [
        {"objective": objective, "n_params": n, "unique_tokens": 100 * n, "metric": "val_loss",
         "total_tokens": d * n, "loss": 2 + 400 / n**0.3 + 90 / (d * n) ** 0.3}
        for objective in ("ar", "mdlm") for n in (10**6, 10**7, 10**8) for d in (5, 20, 80, 200)
    ]  # fmt: skip
    table = pl.DataFrame(points).with_columns(value=pl.col("loss"))
    table.write_csv(base / "table.csv")
    table.write_parquet(base / "table.parquet")
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.summary.writer.record_writer import RecordWriter

    events = base / "events" / "1b_96e_ar_1b"
    events.mkdir(parents=True)
    with open(events / "events.out.tfevents.1.x", "wb") as file:
        writer = RecordWriter(file)
        for step in range(1, 9):
            value = Summary.Value(tag="val_loss", simple_value=5.0 / step)
            event = Event(step=step, wall_time=float(step), summary=Summary(value=[value]))
            writer.write(event.SerializeToString())
    results = ["--results", str(base / "results")]
    for arguments in (
        ["tokenizer", "train", str(base / "text.txt"), "--out", str(base / "tokenizer.json"),
         "--vocab-size", "300"],
        ["run", str(base / "small.toml"), *results],
        ["export", "parquet", str(base / "dataset"), *results],
    ):  # fmt: skip
        subprocess.run(workbench(*arguments), check=True, capture_output=True)
    (base / "results" / "calibration.json").write_text('{"flops_per_second": 1e9}\n')


def run_command(arguments: list[str], results: Path, out: Path, user: int | None) -> int:
    """The exit status of a command in a child of this process, which has imported everything."""
    child = os.fork()
    if child:
        signal.alarm(0)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)
    try:
        signal.alarm(LIMIT_S)
        for descriptor, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(out / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
        if user is not None:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        os.chdir(out)
        os.environ |= {"WORKBENCH_RESULTS": str(results), "HOME": str(out)}
        sys.argv = ["workbench", *arguments]
        from workbench.cli import main

        main()
    except SystemExit as end:
        os._exit(int(end.code or 0))
    except BaseException:
        traceback.print_exc()
        os._exit(99)
    os._exit(0)


def sums(base: Path) -> dict[str, str]:
    """Checksums of what no command here may change: what the runs and the data hold."""
    kept = ("config.json", "provenance.json", "records.jsonl", "train.bin", "held_out.bin")
    found = {}
    for path in base.glob("results/**/*"):
        if path.name in kept and path.is_file() and not path.is_symlink() and os.access(path, 4):
            found[str(path.relative_to(base))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


class Bench:
    """The trained study, and a place for damaged copies of it: always the same place, since a
    recipe and a run tell their paths."""

    def __init__(self, folder: Path) -> None:
        self.kept, self.base = folder / "kept", folder / "base"
        self.base.mkdir()
        # Apart: a process that has threads of Polars' own must not be forked.
        apart = multiprocessing.get_context("spawn").Process(target=make_base, args=(self.base,))
        apart.start()
        apart.join()
        assert apart.exitcode == 0
        self.user = NOBODY if os.geteuid() == 0 else None
        folder.chmod(0o755)
        if self.user is not None:
            subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", str(self.base)], check=True)
        os.rename(self.base, self.kept)
        self.before: dict[str, tuple[int, str]] = {}

    def fresh(self, name: str) -> None:
        shutil.rmtree(self.base, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.kept), str(self.base)], check=True)
        if name == "unsealed":
            for path in self.base.glob("results/runs/*/records.parquet"):
                path.unlink()

    def ask(
        self, name: str, question: bool = True, unprivileged: bool = False
    ) -> tuple[int, str, str]:
        """Run a command: its status, what it answered, and what it said."""
        run = sorted((self.kept / "results" / "runs").iterdir())[0].name
        arguments = [part.format(base=self.base, run=run) for part in COMMANDS[name].split()]
        if name in ("sql", "from"):
            arguments.insert(1, QUESTION)
        out = self.base / "said"
        out.mkdir(exist_ok=True)
        out.chmod(0o777)
        code = run_command(
            arguments, self.base / "results", out, self.user if unprivileged else None
        )
        answer = (out / "out").read_text(errors="replace")
        said = (out / "err").read_text(errors="replace")
        shutil.rmtree(out)
        if name in ("ingest", "unsealed", "run", "export", "run another") and question:
            answer = self.ask("from" if name == "export" else "sql", question=False)[1]
        return code, answer, said

    def undisturbed(self, name: str) -> tuple[int, str]:
        if name not in self.before:
            self.fresh(name)
            code, answer, said = self.ask(name)
            assert code == 0, (name, said)
            self.before[name] = code, _steady(answer)
        return self.before[name]

    def case(self, kind: Kind, how: str, name: str) -> str | None:
        """What is wrong with how a command met a damaged file, or None."""
        _, expected = self.undisturbed(name)
        self.fresh(name)
        found = sorted(path for path in self.base.glob(kind.pattern) if not path.is_symlink())
        if kind.name.startswith("checkpoint"):
            found = sorted(found, key=lambda path: len(str(path)))[-1:] + found
        path, other = found[0], found[-1]
        if kind.name.startswith("checkpoint"):  # the newest step of the run that is sampled
            run = sorted((self.base / "results" / "runs").iterdir())[0]
            path = max(
                (one for one in found if run in one.parents),
                key=lambda one: int(one.parent.name.removeprefix("step-")),
            )
        if how in SPECIAL:
            special(path, how, self.kept / other.relative_to(self.base))
        else:
            path.write_bytes(kind.damages[how](path.read_bytes()))
        before = sums(self.base)
        code, answer, said = self.ask(name, unprivileged=how == "unreadable")
        if "Traceback" in said + answer or "Internal error" in said:
            return f"internal error: {said.strip()[-300:]}"
        if code not in (0, 1, 2):
            return f"status {code}: {said.strip()[-300:]}"
        for changed, checksum in before.items():
            same = self.base / changed
            if changed != str(path.relative_to(self.base)) and (
                not same.exists() or hashlib.sha256(same.read_bytes()).hexdigest() != checksum
            ):
                return f"changed {changed}"
        shown = said + answer
        named = path.name in shown or path.parent.name in said or how in kind.lenient
        if code == 0 and (_steady(answer) == expected or how in kind.lenient or named):
            return None
        return None if named and code else f"status {code}, not named: {said.strip()[-300:]!r}"


def _steady(answer: str) -> str:
    """An answer without what differs from run to run."""
    try:
        rows = json.loads(answer)
    except ValueError:
        return answer
    if isinstance(rows, list):
        return json.dumps([{k: v for k, v in row.items() if "second" not in k} for row in rows])
    return json.dumps({k: v for k, v in rows.items() if "second" not in k and k != "time"})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="kinds of files that hold this word")
    parser.add_argument("--quick", action="store_true", help="without commands that load torch")
    parser.add_argument("--skip", nargs="*", default=[], help="commands to leave out")
    parser.add_argument("--keep", action="store_true", help="leave the last copy")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="workbench-corruptions-"))
    bench = Bench(folder)
    for name in IMPORTED:
        importlib.import_module(name)
    cases: Counter[str] = Counter()
    failures = []
    for kind in KINDS:
        if arguments.only not in kind.name:
            continue
        for name in kind.commands:
            if (arguments.quick and name in TORCH) or name in arguments.skip:
                continue
            for how in [*kind.damages, *SPECIAL]:
                if how == "unreadable" and name in TORCH:
                    continue  # another user's Python may lack what torch imports late
                cases[kind.name] += 1
                wrong = bench.case(kind, how, name)
                if wrong is not None:
                    failures.append((kind.name, how, name, wrong))
                    print(f"{kind.name}, {how}, {COMMANDS[name].split()[0]}: {wrong}", flush=True)
    for kind_name, count in cases.items():
        failed = sum(one[0] == kind_name for one in failures)
        print(f"| {kind_name} | {count} | {failed} |")
    print(f"{sum(cases.values())} cases, {len(failures)} failed")
    if not arguments.keep:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
