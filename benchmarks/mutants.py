"""Change one operator at a time, and see whether the module's own tests notice.

    python benchmarks/mutants.py [analysis/crossing ...] --count 100 --seed 0

Cosmic Ray finds and makes the mutants (`+` to `-`, `<` to `<=`, `and` to `or`, a condition
negated). This program draws them evenly over modules and places, makes them in a copy of the
working tree, and runs the tests that mirror the module. A survivor is printed, to be looked at: no
test of its module depends on that operator, or the change has no consequence. Annotations and
decorators are left alone: there, mutants fail at import or change nothing. So is the `strict=True`
of `zip`: it guards lengths that the code around it makes equal, so that no call can show it.

The libraries are imported once, and every run of tests is a fork: quick tests first, and where they
pass those that train. A mutant may also be killed by taking three times as long and ten seconds.
"""

import argparse
import ast
import difflib
import importlib
import importlib.util
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cosmic_ray.plugins
import pytest
from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import use_mutation

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "analysis": "crossing crossed texts band early_stopping intervals budgets effective_data "
    "document_curves pairing run_keys outcomes difference common_seeds effects optimum best_values",
    "training": "hashing mask_noise validation noise",
    "training/objectives": "mdlm block aoar",
    "data": "windows",
    "evaluation": "likelihood multiple_choice chance",
    "importing": "ensembles",
    "runs": "items",
    "store": "run_rows",
    "laws": "isoflop",
}
MODULES = [f"{package}/{name}" for package, names in PACKAGES.items() for name in names.split()]
# Of modules that are not tested by the file that mirrors their path.
TESTS = {
    "analysis/budgets": "analysis/test_effective_data",
    "analysis/effective_data": "analysis/test_effective_data analysis/test_document_curves",
    "analysis/pairing": "analysis/test_pairing analysis/test_protocols",
    "analysis/run_keys": "analysis/test_run_keys analysis/test_protocols",
    "training/objectives/mdlm": "training/test_mdlm training/test_noise_samples",
    "training/objectives/block": "training/test_block training/test_noise_samples",
    "training/objectives/aoar": "training/test_aoar training/test_noise_samples",
    "evaluation/chance": "evaluation/test_chance evaluation/test_training_tasks",
    "store/run_rows": "store/test_ingest store/test_upgrade",
}
# An operator becomes another one of its family: `<<` of two floats would fail under any test.
FAMILIES: tuple[str, ...] = ("Add Sub Mul Div FloorDiv Mod", "RShift LShift", "BitOr BitAnd BitXor")
FAMILIES += ("Lt LtE Gt GtE Eq NotEq", "Is IsNot", "In NotIn")
LOGICAL = ("AddNot", "TrueWithFalse", "FalseWithTrue", "AndWithOr", "OrWithAnd")
UNARY = ("USub_UAdd", "Delete_USub", "Delete_Not", "Delete_Invert")
# Most mutants fail in the first of these parts of their tests.
QUICK, SLOW = "not (training or slow or long)", "(training or slow) and not long"


class Mutant(NamedTuple):
    """The `occurrence`-th change that Cosmic Ray's `operator` can make to a module."""

    module: str
    operator: str
    occurrence: int


def chosen(operator: str) -> bool:
    before, after = ("_" + operator).split("_")[-2:]
    in_family = any({before, after} <= set(family.split()) for family in FAMILIES)
    return in_family or operator.endswith(LOGICAL + UNARY)


def places(module: str) -> dict[tuple[int, int], list[Mutant]]:
    """The mutants of a module by (line, column)."""
    source = (ROOT / "workbench" / f"{module}.py").read_text()
    notes = [
        (note.lineno, note.col_offset, note.end_lineno, note.end_col_offset)
        for node in ast.walk(ast.parse(source))
        for note in [getattr(node, name, None) for name in ("annotation", "returns")]
        + getattr(node, "decorator_list", [])
        if note is not None
    ]
    notes += [  # the `*` of a signature is no operator
        (node.lineno, node.col_offset, node.body[0].lineno, 0)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef)
    ]
    notes += [
        (node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.keyword) and node.arg == "strict"
    ]
    found = defaultdict(list)
    nodes = list(ast_nodes(get_ast(source)))
    for name in filter(chosen, cosmic_ray.plugins.operator_names()):
        operator = cosmic_ray.plugins.get_operator(name)()
        starts = [start for node in nodes for start, _ in operator.mutation_positions(node)]
        for number, place in enumerate(starts):
            if not any(note[:2] <= place < note[2:] for note in notes):
                found[place].append(Mutant(module, name, number))
    return found


def drawn(modules: list[str], count: int, rng: random.Random) -> list[Mutant]:
    """`count` mutants: each module in turn, of each place at most one."""
    queues = {module: list(places(module).values()) for module in modules}
    for queue in queues.values():
        rng.shuffle(queue)
    mutants: list[Mutant] = []
    while len(mutants) < count and any(queues.values()):
        mutants += [rng.choice(queue.pop()) for queue in queues.values() if queue]
    return mutants[:count]


def preload() -> None:
    """Import what all tests import and no mutant changes, in seconds once instead of each time."""
    for name in ("cli.root", "training.validation", "report.write"):
        importlib.import_module(f"workbench.{name}")
    for name in [name for name in sys.modules if name.partition(".")[0] == "workbench"]:
        del sys.modules[name]


def result(files: list[str], chosen_tests: str, limit: float) -> str | None:
    """None where tests pass, else whether they failed or took more than so many seconds. They run
    in a fork of this process."""
    child = os.fork()
    if not child:
        os.setsid()
        with open("tests.log", "wb") as log:
            os.dup2(log.fileno(), 1), os.dup2(log.fileno(), 2)
        code = pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-m", chosen_tests, *files])
        os._exit(code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED))
    end = time.monotonic() + limit
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "failed" if status else None
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return "took too long"
        time.sleep(0.02)


def outcomes(module: str, mutants: list[Mutant]) -> list[bool]:
    """Which mutants of a module its tests kill, in a copy of the tree that is the working folder.
    Prints each, and the diff of a survivor."""
    path = Path("workbench", f"{module}.py")
    package, _, name = module.replace("/objectives", "").rpartition("/")
    files = TESTS.get(module, f"{package}/test_{name}").split()
    tests = [f"tests/{file}.py" for file in files]

    @cache
    def limit(part: str) -> float:
        """Seconds for a part of the tests, since a mutant may never end."""
        start = time.monotonic()
        if result(tests, part, 900):
            sys.exit(f"{module}: its tests fail without a mutant.\n{Path('tests.log').read_text()}")
        return 3 * (time.monotonic() - start) + 10

    killed = []
    for mutant in mutants:
        operator = cosmic_ray.plugins.get_operator(mutant.operator)()
        for part in (QUICK, SLOW):
            seconds = limit(part)
            with use_mutation(path, operator, mutant.occurrence) as (before, after):
                Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
                why = result(tests, part, seconds)
            if why:
                break
        killed.append(why is not None)
        print(module, mutant.operator, f"killed: {why}" if why else "SURVIVED", flush=True)
        if not killed[-1]:
            lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), n=1)
            print(*list(lines)[2:], sep="", flush=True)
    return killed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("modules", nargs="*", default=MODULES)
    parser.add_argument("--count", type=int, default=100, help="mutants over all modules")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    mutants = drawn(options.modules, options.count, random.Random(options.seed))
    packages: dict[str, list[bool]] = defaultdict(list)
    preload()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        files = "git ls-files -z --cached --others --exclude-standard"  # as they are now
        subprocess.run(f"{files} | xargs -0 cp --parents -t {folder}", shell=True, cwd=ROOT)
        os.chdir(folder)
        os.environ["PYTHONPATH"] = folder
        sys.path.insert(0, folder)
        for module in options.modules:
            if own := [mutant for mutant in mutants if mutant.module == module]:
                packages[module.rpartition("/")[0]] += outcomes(module, own)
    packages["together"] = [one for killed in packages.values() for one in killed]
    for name, killed in packages.items():
        print(f"{name}: {sum(killed)} of {len(killed)} killed ({sum(killed) / len(killed):.0%})")


if __name__ == "__main__":
    main()
