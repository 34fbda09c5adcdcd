"""`import workbench`: light, and the same names for readers, type checkers and programs."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import workbench as wb

HEAVY = ("torch", "torchtitan", "polars", "duckdb", "altair", "numpy", "pydantic", "streamlit")


def told(code: str) -> Any:
    """What a fresh process prints as JSON."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_import_takes_no_time_and_nothing_heavy() -> None:
    code = f"""
import json, sys, time
began = time.perf_counter()
import workbench
took = time.perf_counter() - began
print(json.dumps([took, [name for name in {HEAVY!r} if name in sys.modules]]))"""
    took, loaded = told(code)
    assert loaded == []
    assert min(took, told(code)[0]) < 0.5


def test_answers_need_no_torch() -> None:
    code = """
import json, sys
import workbench as wb
study = wb.Results("shipped").study("quickstart")
study.curves(), study.crossovers().frame, study.figure("crossover")
print(json.dumps([name for name in sys.modules if name.partition(".")[0] == "torch"]))"""
    assert told(code) == []


def test_every_public_name_is_there_and_known_to_type_checkers() -> None:
    tree = ast.parse(Path(wb.__file__).read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    typed = {alias.name for node in block.body for alias in node.names}  # type: ignore[attr-defined]
    assert {*typed, "__version__"} == set(wb.__all__)
    for name in wb.__all__:
        value = getattr(wb, name)
        assert name == "__version__" or value.__doc__, name
    assert set(wb.__all__) <= set(dir(wb))
    assert not hasattr(wb, "nothing_of_the_kind")
