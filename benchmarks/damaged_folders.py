"""Run folders of somebody else, damaged or hostile, and what every command that reads one does.

python benchmarks/damaged_folders.py [--only WORD] [--commands NAME ...] [--real N] [--folder F]

A small trained study is copied, one of its runs is damaged, and the commands that read what was
damaged run on copies of that: in forks of one process, through the command line's own entry, and
some of them as real commands. It passes where there is no traceback and no internal error, the
status is 0, 1 or 2, nothing outside of the results folder has changed, no code of the folder ran,
and the command took no more than 5 s of computing over what it takes undamaged, nor a minute in
all. Exit status 1 where anything failed.
"""

import argparse
import hashlib
import importlib
import io
import json
import multiprocessing
import os
import pickle
import resource
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import corruptions
from commands import workbench

MORE_S = 5
COMMANDS = {
    "status": "status --format json",
    "ingest": "ingest --rebuild",
    "crossover": "crossover small --format json",
    "export parquet": "export parquet {base}/dataset-again",
    "cancel": "cancel {run}",
    "sample": "sample {run} --prompt def --tokens 2 --format json",
    "eval": "eval {run} --tasks hellaswag --task-file hellaswag={base}/task.jsonl --format json",
    "audit": "audit {run} --windows 2 --format json",
    "export model": "export model {run} --out {base}/model",
    "retry": "retry {run}",
    "extend": "extend {run} --total-tokens 6_656",
}
UNFINISHED = ("cancel", "retry")
"""Commands that have something to do where a run has failed."""
TRAINED = ("sample", "eval", "audit", "export model", "retry", "extend")


@dataclass(frozen=True)
class Case:
    """One damaged folder."""

    what: str
    how: str
    damage: Callable[["Bench"], object]
    commands: tuple[str, ...]


def _flipped(content: bytes) -> bytes:
    """One bit in the middle is the other one."""
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :] if content else b""


def _numbers(value: Any) -> Callable[[bytes], bytes]:
    """Put one value in the place of every number."""

    def changed(part: Any) -> Any:
        if isinstance(part, dict):
            return {key: changed(one) for key, one in part.items() if key != "schema"} | {
                key: part[key] for key in part if key == "schema"
            }
        if isinstance(part, list):
            return [changed(one) for one in part]
        return value if isinstance(part, int | float) and not isinstance(part, bool) else part

    return lambda content: json.dumps(changed(json.loads(content))).encode()


def _tables(content: bytes) -> bytes:
    """Lists in the place of all tables but the outermost."""
    document = json.loads(content)
    return json.dumps({k: [v] if isinstance(v, dict) else v for k, v in document.items()}).encode()


CONTENT = {
    **{how: corruptions.ANY[how] for how in ("empty", "cut in half", "garbage", "zeros")},
    "a bit flipped": _flipped,
}
JSON = {
    **{how: corruptions.JSON[how] for how in (
        "a list", "null", "no keys", "nested 100,000 deep", "values null", "values lists",
        "values words",
    )},
    "tables as lists": _tables,
    "numbers of 400 digits": _numbers(10**400),
    "negative numbers": _numbers(-(10**30)),
    "NaN": _numbers(float("nan")),
    "infinity": _numbers(float("inf")),
}  # fmt: skip
LINES = {
    "a line without an end": lambda content: content + b"1" * 5_000_000,
    "a line of words": lambda content: content + b'{"step": "x", "metric": "y"}\n',
    "a line nested 100,000 deep": lambda content: content + b"[" * 100_000 + b"\n",
}
SPECIAL = ("a link to its like", "a link to nowhere", "a link to /dev/zero", "a FIFO", "a socket",
           "a folder", "1 TiB")  # fmt: skip


def make_special(path: Path, how: str, outside: Path) -> None:
    """Put something else in the place of a file."""
    content = path.read_bytes() if path.is_file() else b""
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    if how == "a link to its like":
        target = outside / path.name
        target.write_bytes(content)
        path.symlink_to(target)
    elif how == "a link to nowhere":
        path.symlink_to(outside / "not-there")
    elif how == "a link to /dev/zero":
        path.symlink_to("/dev/zero")
    elif how == "a FIFO":
        os.mkfifo(path)
    elif how == "a socket":
        with socket.socket(socket.AF_UNIX) as made:
            place = os.open(path.parent, os.O_PATH)  # a socket's path must be short
            made.bind(f"/proc/self/fd/{place}/{path.name}")
            os.close(place)
    elif how == "a folder":
        path.mkdir()
    else:
        with open(path, "wb") as file:
            file.truncate(2**40)


class Runs:
    """What a hostile pickle makes: a command."""

    def __init__(self, bench: "Bench", how: str) -> None:
        self.words, self.how = f"touch {bench.ran}", how

    def __reduce__(self) -> tuple[Any, ...]:
        if self.how == "eval":
            return eval, (f"__import__('os').system({self.words!r})",)
        if self.how == "a nested name":
            return _Named(), (self.words,)
        return os.system, (self.words,)


class _Named:
    """`os.system`, reached through a module that may be named."""

    def __reduce__(self) -> str:
        return "os.system"


def hostile_metadata(bench: "Bench", how: str) -> None:
    """A `.metadata` that runs a command, from various places of it."""
    from torch.distributed.checkpoint import filesystem

    for path in bench.checkpoints(".metadata"):
        metadata = pickle.loads(path.read_bytes())
        if how == "a nested name":
            named = b"\x80\x04\x8c\x2btorch.distributed.checkpoint.filesystem\x94\x8c\x09os.system"
            named = named.replace(b"\x2b", bytes([len(filesystem.__name__)]))
            words = f"touch {bench.ran}".encode()
            path.write_bytes(named + b"\x93\x8c" + bytes([len(words)]) + words + b"\x85R.")
            continue
        payload = Runs(bench, how)
        if how == "beside the places":
            metadata.planner_data = payload
        elif how == "as a place":
            metadata.storage_data = dict.fromkeys(metadata.storage_data, payload)
        else:
            metadata = payload
        path.write_bytes(pickle.dumps(metadata))


def hostile_archive(bench: "Bench", how: str) -> None:
    """An archive that runs a command when it is loaded, its place and its digest as they should."""
    import torch

    from workbench.training.checkpoint_metadata import digest, pickled

    wanted = "train_state.step" if how == "a value" else "norm.weight"
    for path in bench.checkpoints(".metadata"):
        metadata = pickle.loads(path.read_bytes())
        part = path.with_name("__0_0.distcp")
        made = io.BytesIO()
        torch.save(Runs(bench, "system"), made)
        for index, place in metadata.storage_data.items():
            if index.fqn == wanted:
                place.offset, place.length = part.stat().st_size, len(made.getvalue())
                place.xxh3 = digest(made.getvalue())
        with open(part, "ab") as file:
            file.write(made.getvalue())
        path.write_bytes(pickled(metadata))


def astray(bench: "Bench", name: str) -> None:
    """A checkpoint whose tensors lie in a file outside."""
    from workbench.training.checkpoint_metadata import pickled

    for path in bench.checkpoints(".metadata"):
        metadata = pickle.loads(path.read_bytes())
        target = bench.outside / "part.distcp"
        shutil.copy(path.with_name("__0_0.distcp"), target)
        for place in metadata.storage_data.values():
            place.relative_path = name.format(outside=bench.outside)
        path.write_bytes(pickled(metadata))


def absurd(bench: "Bench", what: str) -> None:
    """Places and sizes beyond every file."""
    from workbench.training.checkpoint_metadata import pickled

    for path in bench.checkpoints(".metadata"):
        metadata = pickle.loads(path.read_bytes())
        for place in metadata.storage_data.values():
            setattr(place, what, 2**62)
        path.write_bytes(pickled(metadata))


def folder_as_link(bench: "Bench", name: str, whole: bool) -> None:
    """A link to a copy of a folder, or to nowhere."""
    path = bench.run / name
    target = bench.outside / "folder"
    if whole:
        shutil.copytree(path, target, symlinks=True)
    shutil.rmtree(path)
    path.symlink_to(target)


def change(bench: "Bench", path: str, **keys: Any) -> None:
    """Other values of some keys of a JSON document; a dot leads into a table."""
    file = bench.base / path.format(run=bench.run)
    document = json.loads(file.read_text())
    for key, value in keys.items():
        *tables, last = key.split("__")
        part = document
        for table in tables:
            part = part[table]
        part[last] = value
    file.write_text(json.dumps(document))


def _damaged(bench: "Bench", paths: str, change: Callable[[bytes], bytes]) -> None:
    for path in bench.files(paths):
        path.write_bytes(change(path.read_bytes() if path.exists() else b""))


def _special(bench: "Bench", paths: str, how: str) -> None:
    for path in bench.files(paths):
        make_special(path, how, bench.outside)


FILES: dict[str, tuple[str, dict[str, Callable[[bytes], bytes]], tuple[str, ...]]] = {
    "config": ("{run}/config.json", CONTENT | JSON,
               ("status", "ingest", "cancel", "sample", "eval", "export model", "retry", "extend")),
    "provenance": ("{run}/provenance.json", CONTENT | JSON,
                   ("status", "ingest", "sample", "retry", "extend")),
    "status": ("{run}/status.json", CONTENT | JSON,
               ("status", "ingest", "cancel", "sample", "retry", "extend")),
    "records": ("{run}/records.jsonl", CONTENT | LINES,
                ("ingest", "audit", "retry", "extend")),
    "sealed records": ("{run}/records.parquet", CONTENT, ("ingest", "status")),
    "evaluations": ("{run}/evaluations.jsonl", CONTENT | LINES, ("ingest", "eval")),
    "items": ("{run}/items/training.parquet", CONTENT,
              ("crossover", "export parquet", "retry", "extend")),
    "lock": ("{run}/lock", {}, ("status", "ingest", "cancel", "retry", "extend")),
    "log": ("{run}/log.txt", {}, ("status", "retry")),
    "cancel": ("{run}/cancel", {}, ("status", "cancel", "retry")),
    "metadata": ("{run}/checkpoint/step-*/.metadata", CONTENT, TRAINED),
    "tensors": ("{run}/checkpoint/step-*/__0_0.distcp", CONTENT, TRAINED),
    "study": ("results/studies/small.json", CONTENT | JSON,
              ("status", "ingest", "cancel", "crossover", "retry")),
}  # fmt: skip
STUDY = ("status", "ingest", "cancel", "retry", "crossover")


def cases() -> list[Case]:
    """Every damaged folder, in the order in which they are tried."""
    found = []
    for what, (paths, contents, commands) in FILES.items():
        for how, damage in contents.items():
            act = partial(_damaged, paths=paths, change=damage)
            found.append(Case(what, how, act, commands))
        for how in SPECIAL:
            found.append(Case(what, how, partial(_special, paths=paths, how=how), commands))
    for how in ("system", "eval", "beside the places", "as a place", "a nested name"):
        found.append(Case("metadata", f"runs code: {how}",
                          partial(hostile_metadata, how=how), TRAINED))  # fmt: skip
    for how in ("a value", "a tensor"):
        found.append(Case("tensors", f"runs code: {how}",
                          partial(hostile_archive, how=how), TRAINED))  # fmt: skip
    for name in ("../../../../../outside/part.distcp", "{outside}/part.distcp"):
        found.append(Case("metadata", f"tensors of {name}", partial(astray, name=name), TRAINED))
    for key in ("offset", "length"):
        found.append(Case("metadata", f"{key} of 2^62", partial(absurd, what=key), TRAINED))
    for name, commands in (
        ("", FILES["config"][2]), ("items", FILES["items"][2]), ("checkpoint", TRAINED),
        ("checkpoint/step-10", TRAINED), ("checkpoint/step-11", TRAINED),
    ):  # fmt: skip
        for whole, how in ((True, "a link to its like"), (False, "a link to nowhere")):
            act = partial(folder_as_link, name=name, whole=whole)
            found.append(Case(f"the folder {name or 'itself'}", how, act, commands))
    for astray_id in (
        "../../outside/run",
        "{outside}/run",
        "..",
        "",
        ".hidden",
        "a/b",
        "a\n\x1b[2J",
    ):
        found.append(Case("study", f"lists {astray_id!r}", partial(list_astray, run_id=astray_id),
                          STUDY))  # fmt: skip
    for place in ("../outside", "/etc", "data/\0"):
        act = partial(change, path="{run}/config.json", data__folder=place)
        found.append(Case("config", f"data in {place!r}", act, FILES["config"][2]))
    for key in ("run_id", "parent"):
        act = partial(change, path="{run}/config.json", **{key: "../../outside/run"})
        found.append(Case("config", f"{key} leads out", act, FILES["config"][2]))
    act = partial(change, path="{run}/provenance.json", started_as={"device": [], "x": 1})
    found.append(Case("provenance", "started as nothing", act, FILES["provenance"][2]))
    return found


def list_astray(bench: "Bench", run_id: str) -> None:
    """A study that lists a run elsewhere, where there is one."""
    shutil.copytree(bench.run, bench.outside / "run", symlinks=True)
    path = bench.base / "results" / "studies" / "small.json"
    document = json.loads(path.read_text())
    document["run_ids"].append(run_id.format(outside=bench.outside))
    path.write_text(json.dumps(document))


class Forked:
    """In the place of `subprocess.Popen`: a module of ours as a fork of this process, which has
    imported what it needs."""

    def __init__(self, command: list[str], *, stdin: int, stdout: Any, stderr: Any,
                 env: dict[str, str], **_: Any) -> None:  # fmt: skip
        (orders, mine), (theirs, replies) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if not self.pid:
            signal.alarm(600)
            out = replies if stdout == subprocess.PIPE else stdout.fileno()
            for descriptor, number in ((orders, 0), (out, 1), (stderr.fileno(), 2)):
                os.dup2(descriptor, number)
            os.close(mine)
            os.close(theirs)
            os.environ.update(env)
            sys.argv = command[2:]
            code = 1
            try:
                runpy.run_module(command[2], run_name="__main__")
                code = 0
            except SystemExit as end:
                code = int(end.code or 0)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(code)
        os.close(orders)
        os.close(replies)
        self.stdin = os.fdopen(mine, "wb", buffering=0)
        self.stdout = os.fdopen(theirs, "rb", buffering=0)
        self.code: int | None = None

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code


class Bench:
    """The trained study, and a place for damaged copies of it."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.limit = limit
        self.kept, self.base, self.outside = folder / "kept", folder / "base", folder / "outside"
        self.ran = folder / "ran"
        if not self.kept.exists():
            self.base.mkdir()
            # In a process of its own: one that has threads of Polars' must not be forked.
            spawn = multiprocessing.get_context("spawn")
            other = spawn.Process(target=make_base, args=(self.base,))
            other.start()
            other.join()
            assert other.exitcode == 0
            self.base.rename(self.kept)
        self.name = sorted((self.kept / "results" / "runs").iterdir())[0].name
        self.usual: dict[str, float] = {}
        self.longest = 0.0

    @property
    def run(self) -> Path:
        return self.base / "results" / "runs" / self.name

    def files(self, pattern: str) -> list[Path]:
        """The files of a kind, there or not; of checkpoints, those of the last two steps."""
        if "*" not in pattern:
            return [self.base / pattern.format(run=self.run)]
        return self.checkpoints(pattern.rpartition("/")[2])

    def checkpoints(self, name: str) -> list[Path]:
        return sorted(self.run.glob(f"checkpoint/step-*/{name}"), key=lambda p: len(str(p)))

    def fresh(self, command: str) -> None:
        """An undamaged copy, of a run that has failed where the command is for such."""
        for path in (self.base, self.outside):
            shutil.rmtree(path, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.kept), str(self.base)], check=True)
        self.outside.mkdir()
        (self.outside / "data").mkdir()
        (self.outside / "data" / "manifest.json").write_text("{}")
        if command in UNFINISHED:
            for name in ("checkpoint/step-12", "checkpoint/step-11"):
                if command == "retry" and name.endswith("12"):
                    shutil.rmtree(self.run / name)
            (self.run / "records.parquet").unlink(missing_ok=True)
            change(self, "{run}/status.json", state="failed")

    def ask(self, command: str, *, real: bool = False) -> tuple[int, str, float, float]:
        """Run a command: status, what it printed, and the seconds it computed and took."""
        words = [p.format(base=self.base, run=self.name) for p in COMMANDS[command].split()]
        out = self.base / "printed"
        environment = {"WORKBENCH_RESULTS": str(self.base / "results"), "HOME": str(self.base)}
        began = os.times().elapsed
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with open(out, "wb") as file:
            if real:
                process = subprocess.run(workbench(*words), stdout=file, stderr=file,
                                         stdin=subprocess.DEVNULL, cwd=self.base,
                                         env=os.environ | environment, timeout=600)  # fmt: skip
                code = process.returncode
            else:
                code = _in_fork(words, file.fileno(), self.base, environment, self.limit)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        computed = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        log = self.run / "log.txt"
        printed = out.read_text(errors="replace")
        if log.is_file() and not log.is_symlink() and log.stat().st_size < 2**30:
            printed = log.read_text(errors="replace") + printed
        return code, printed, computed, os.times().elapsed - began

    def undisturbed(self, command: str) -> float:
        """The seconds that a command computes where nothing is damaged."""
        if command not in self.usual:
            self.fresh(command)
            code, printed, computed, _ = self.ask(command)
            assert code == 0, (command, code, printed[-2000:])
            self.usual[command] = computed
        return self.usual[command]

    def wrong(self, case: Case, command: str, *, real: bool = False) -> str | None:
        """What is wrong with how a command met a damaged folder, or None."""
        usual = self.undisturbed(command)
        self.fresh(command)
        case.damage(self)
        before = listing(self.outside)
        code, printed, computed, took = self.ask(command, real=real)
        self.longest = max(self.longest, took)
        if self.ran.exists():
            self.ran.unlink()
            return "code of the folder ran"
        if listing(self.outside) != before:
            return "something outside has changed"
        if "Traceback" in printed or "Internal error" in printed:
            return f"internal error: {printed.strip()[-600:]}"
        if code == -signal.SIGALRM:
            return f"did not end within {self.limit} s"
        if code not in (0, 1, 2):
            return f"status {code}: {printed.strip()[-300:]}"
        if not real and computed > usual + MORE_S:
            return f"computed for {computed:.1f} s, and usually does for {usual:.1f} s"
        return None


def make_base(base: Path) -> None:
    """A trained study, one of its runs evaluated."""
    corruptions.make_base(base)
    run = sorted((base / "results" / "runs").iterdir())[0].name
    words = [part.format(base=base, run=run) for part in COMMANDS["eval"].split()]
    subprocess.run(workbench(*words, "--results", str(base / "results")), check=True)


def _in_fork(
    words: list[str], out: int, folder: Path, environment: dict[str, str], limit: int
) -> int:
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        signal.alarm(limit)
        resource.setrlimit(resource.RLIMIT_AS, (2**35, 2**35))
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(folder)
        os.environ |= environment
        sys.argv = ["workbench", *words]
        from workbench.cli import main
        from workbench.running import local

        if words[0] == "retry":  # `extend` has threads of Polars by then: it starts a real one
            local.subprocess = SimpleNamespace(
                Popen=Forked, PIPE=subprocess.PIPE, DEVNULL=subprocess.DEVNULL
            )
        main()
    except SystemExit as end:
        sys.stdout.flush()
        os._exit(int(end.code or 0))
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(99)
    os._exit(0)


def listing(folder: Path) -> dict[str, str]:
    """Every path below a folder, with a digest of what is there."""
    found = {}
    for path in sorted(folder.rglob("*")):
        plain = path.is_file() and not path.is_symlink()
        found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if plain else "-"
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="cases that have this word in their names")
    parser.add_argument("--commands", nargs="*", help="these commands alone")
    parser.add_argument("--folder", type=Path, help="where the study is, or is made and left")
    parser.add_argument("--every", type=int, default=1, help="each N-th case")
    parser.add_argument("--real", type=int, default=20, help="so many as real commands at the end")
    parser.add_argument("--limit", type=int, default=60, help="seconds, however busy the machine")
    arguments = parser.parse_args()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="workbench-folders-"))
    folder.mkdir(exist_ok=True)
    bench = Bench(folder, arguments.limit)
    chosen = [case for case in cases() if arguments.only in f"{case.what}, {case.how}"]
    chosen = chosen[:: arguments.every]
    for module in ("store", "running.control", "store.parquet.export", "analysis.crossover"):
        importlib.import_module(f"workbench.{module}")  # what each fork would import
    asked: Counter[str] = Counter()
    failed = 0
    pairs = [(case, name, False) for case in chosen for name in case.commands]
    pairs = [pair for pair in pairs if not arguments.commands or pair[1] in arguments.commands]
    step = max(1, len(pairs) // max(1, arguments.real))
    pairs += [(case, name, True) for case, name, _ in pairs[::step][: arguments.real]]
    if any(name in TRAINED for _, name, _ in pairs):
        importlib.import_module("workbench.running.worker")
    for case, name, real in pairs:
        asked["as real commands" if real else name] += 1
        wrong = bench.wrong(case, name, real=real)
        if wrong is not None:
            failed += 1
            print(f"{case.what}, {case.how}, {name}: {wrong}", flush=True)
    for name, count in asked.items():
        print(f"| {name} | {count} |")
    print(f"{len(chosen)} folders, {sum(asked.values())} commands, {failed} failed; the longest "
          f"took {bench.longest:.1f} s")  # fmt: skip
    if not arguments.folder:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
