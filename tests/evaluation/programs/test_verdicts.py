"""A program passes by answering right, and by nothing else that it can do."""

import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from workbench.evaluation.programs.confinement import Confinement, Limits, Outcome, Suite

DOUBLE = Suite("", ("f",), "def check(f):\n    assert f(2) == 4\n    assert f(3) == 6\ncheck(f)")

# What a program might do instead of doubling. `say` answers on the harness's descriptor.
SAY = """
import os
def say(*lines):
    for line in lines:
        os.write(4, line.encode() + b"\\n")
"""
TRICKS = {
    "exits": "import os\ndef f(x): os._exit(0)",
    "exits at once": "import os; os._exit(0)",
    "leaves by an exception": "def f(x): raise SystemExit(0)",
    "is interrupted": "def f(x): raise KeyboardInterrupt",
    "kills itself": "import os\ndef f(x): os.kill(os.getpid(), 9)",
    "aborts": "import os\ndef f(x): os.abort()",
    "leaves the generator": "def f(x): raise StopIteration(4)",
    "answers at its exit": SAY + """
import atexit
atexit.register(say, '["value", 4]', '["value", true]', '["passed"]')
def f(x): raise SystemExit(0)""",
    "exits at its exit": "import atexit, os\natexit.register(os._exit, 0)\ndef f(x): return 0",
    "exits in a destructor": """
import os
class Last:
    def __del__(self): os._exit(0)
def f(x):
    Last()
    return 0""",
    "exits in a signal handler": """
import os, signal, time
signal.signal(signal.SIGALRM, lambda *_: os._exit(0))
def f(x):
    signal.setitimer(signal.ITIMER_REAL, 0.01)
    time.sleep(1)""",
    "becomes another program": """
import os, sys
def f(x):
    code = "import os; os.write(4, b'[\\\\"value\\\\", true]\\\\n' * 9)"
    os.execv(sys.executable, [sys.executable, "-I", "-S", "-c", code])""",
    "forks": "import os\ndef f(x): return 4 if os.fork() else 6",
    "has a thread answer": SAY + """
import threading
def f(x):
    threading.Thread(target=say, args=('["value", 4]',)).start()
    return 6""",
    "equals everything": "class E:\n    def __eq__(self, other): return True\ndef f(x): return E()",
    "is a number that equals everything": """
class E(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __hash__ = int.__hash__
def f(x): return E(0)""",
    "is a list that equals everything": """
class E(list):
    def __eq__(self, other): return True
def f(x): return E()""",
    "says it is of another class": """
class E:
    __class__ = property(lambda self: int)
    def __eq__(self, other): return True
    def __index__(self): return 0
def f(x): return E()""",
    "is not a number": "def f(x): return float('nan')",
    "answers too early": SAY + "say('[\"value\", true]', '[\"value\", true]')\ndef f(x): return 0",
    "says that it passed": SAY + "say('', 'passed', '[\"passed\"]')\ndef f(x): return 0",
    "sends an exit as what it raised": SAY + """
def f(x):
    say('["raised", "SystemExit", "0"]', '["raised", "GeneratorExit", ""]')""",
    "sends what nobody expects": SAY + "def f(x): say('[\"value\", {\"__class__\": \"int\"}]')",
    "sends a made-up kind": SAY + "def f(x): say('[\"value\", [\"eval\", \"4\"]]')",
    "sends no end": SAY + "import os\ndef f(x): os.write(4, b'[' * 99999); os._exit(0)",
    "prints that it passed": "def f(x): print('passed')\nprint('passed')",
    "hangs up": "import os\nos.close(4)\ndef f(x): return 0",
    "crosses the lines": "import os\nos.dup2(3, 4)\ndef f(x): return 0",
    "swaps the assertion": """
import builtins
builtins.AssertionError = type("Quiet", (BaseException,), {})
builtins.exec = builtins.compile = lambda *_, **__: None
def f(x): return 0""",
    "swaps the functions of JSON": """
import json, sys
json.dumps = lambda value: '["value", true]'
sys.modules["__main__"].encode = lambda value: True
def f(x): return 0""",
    "traces": """
import sys
def trace(frame, event, argument):
    frame.f_trace_opcodes = True
    for name in ("value", "given", "f", "candidate", "expected"):
        frame.f_locals[name] = 4
    return trace
sys.settrace(trace); sys.setprofile(trace)
def f(x): return 0""",
    "looks for its tests": """
import gc, os, re, sys
def texts():
    for one in gc.get_objects():
        yield from (text for text in gc.get_referents(one) if type(text) is str)
    frame = sys._getframe()
    while frame:
        yield from map(str, frame.f_locals.values())
        frame = frame.f_back
    for top in ("/work", "/tmp", "/packages", "/etc", "/dev", "/proc"):
        for folder, _, files in os.walk(top):
            for name in files:
                try:
                    yield open(os.path.join(folder, name), errors="replace").read(9999)
                except OSError:
                    pass
    for fd in (0, *range(5, 64)):
        try:
            os.lseek(fd, 0, 0)
            yield os.read(fd, 9999).decode(errors="replace")
        except OSError:
            pass
    for place in ("/proc/self/mem", "/proc/1/cmdline", "/proc/1/environ", "/dev/fd/0"):
        try:
            yield open(place).read(9999)
        except OSError:
            pass
def f(x):
    return 2 * x if any(re.search("f.3. ={2} 6", text) for text in texts()) else 0""",
}  # fmt: skip


def test_no_trick_passes(confinement: Confinement) -> None:
    quick = replace(confinement, limits=Limits(wall_seconds=8, cpu_seconds=4))
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda source: quick.test(source, DOUBLE), TRICKS.values()))
    passed = [name for name, one in zip(TRICKS, outcomes, strict=True) if one.passed]
    assert not passed
    assert quick.test("def f(x): return 2 * x", DOUBLE).passed


def test_the_trick_that_looks_for_its_tests_would_find_them(confinement: Confinement) -> None:
    assert confinement.test(TRICKS["looks for its tests"] + "\n'f(3) == 6'", DOUBLE).passed


def verdict(confinement: Confinement, program: str, source: str, before: str = "") -> Outcome:
    tests = Suite(before, ("f",), textwrap.dedent(source))
    return confinement.test(textwrap.dedent(program), tests)


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ("def f(x): return x", "AssertionError"),
        ("def f(x): return 1 / 0", "ZeroDivisionError: division by zero"),
        ("class Odd(Exception): pass\ndef f(x): raise Odd('so')", "Exception: Odd: so"),
        ("def f(x): return object()", "f returned a value of type object, which cannot be handed"),
        ("def g(x): return x", "NameError: name 'f' is not defined"),
        ("def f(:", "SyntaxError: invalid syntax"),
        ("import os\ndef f(x): os._exit(0)", "exited with status 0 before its end"),
        ("import sys\ndef f(x): sys.exit(5)", "exited with status 5 before its end"),
        ("import ctypes\ndef f(x): ctypes.string_at(0)", "killed by signal 11"),
        ("f = lambda x: f(x)", "RecursionError: maximum recursion depth exceeded"),
    ],
)
def test_why_a_program_failed_is_said(confinement: Confinement, program: str, why: str) -> None:
    outcome = confinement.test(program, DOUBLE)
    assert not outcome.passed
    assert why in outcome.why


def test_tests_cannot_catch_the_end_of_a_program(confinement: Confinement) -> None:
    source = "try:\n    f(1)\nexcept BaseException:\n    pass"
    assert verdict(confinement, "def f(x): return 1 / 0", source).passed
    for program in ("import os\ndef f(x): os._exit(0)", "def f(x): return object()"):
        assert not verdict(confinement, program, source).passed


def test_an_exception_is_no_end_of_what_the_tests_go_through(confinement: Confinement) -> None:
    source = "assert all(map(f, [1, 2]))"
    assert not verdict(confinement, "def f(x): raise StopIteration", source).passed


def test_values_of_all_kinds_are_handed_over_both_ways(confinement: Confinement) -> None:
    source = """
        kinds = [
            None, True, 0, -1, 10**5000, 0.1, -0.0, float("inf"), 1j, "", "a\\nb\\ud800", b"\\0",
            [], [1, [2.0, ["3"]]], (), (1,), {1, (2, 3)}, frozenset("ab"),
            {}, {(1, 2): {"a": [None]}}, range(5), "x" * 100_000, list(range(9_000)),
        ]
        for value in kinds:
            assert f(value) == value and type(f(value)) is type(value), value
            assert f(value=[value]) == [value]
        assert f(float("nan")) != f(float("nan"))
        assert f(None) is None and f(True) is True
    """
    outcome = verdict(confinement, "def f(value): return value", source)
    assert outcome.passed, outcome


def test_honest_programs_of_many_kinds_pass(confinement: Confinement) -> None:
    program = """
        from collections import Counter, namedtuple
        calls = 0
        def f(what, *more):
            global calls
            calls += 1
            print("call", calls)
            if what == "error":
                raise ValueError(more[0])
            if what == "iterator":
                return (n for n in more)
            if what == "counter":
                return Counter(more)
            if what == "pair":
                return namedtuple("Pair", "a b")(*more)
            if what == "order":
                return {1: 2, 0: 1}.keys()
            return calls
    """
    source = """
        assert f("calls") == 1
        try:
            f("error", "no")
            raise SystemExit("no error")
        except ValueError as error:
            assert str(error) == "no"
        assert list(f("iterator", 1, 2)) == [1, 2]
        assert f("counter", "a", "a") == {"a": 2}
        assert f("pair", 1, 2) == (1, 2)
        assert list(f("order")) == [1, 0] and f("order") == {0, 1}
        assert f("calls") == 8
    """
    outcome = verdict(confinement, program, source)
    assert outcome.passed, outcome
    assert outcome.output.startswith("call 1\ncall 2\n")


def test_the_tests_use_the_benchmarks_own_helper_whatever_the_program_makes_of_it(
    confinement: Confinement,
) -> None:
    helper = "def twice(x):\n    return 2 * x\n"
    program = helper + "def f(x):\n    globals()['twice'] = lambda x: 0\n    return 0"
    source = "assert f(3) == twice(3)"
    assert not verdict(confinement, program, source, before=helper).passed
    honest = helper + "def f(x):\n    return twice(x)"
    assert verdict(confinement, honest, source, before=helper).passed


def test_a_program_gets_copies_of_what_its_tests_compare_with(confinement: Confinement) -> None:
    program = "def f(values):\n    values.clear()\n    return []"
    source = "values = [2, 1]\nassert f(values) == sorted(values)"
    assert not verdict(confinement, program, source).passed


def test_what_the_tests_cannot_hand_over_is_said(confinement: Confinement) -> None:
    outcome = verdict(confinement, "def f(g): return g(1)", "assert f(lambda x: x) == 1")
    assert outcome.why == "the tests give f a value of type function, which cannot be handed over"


def test_a_sleeping_program_is_stopped(confinement: Confinement) -> None:
    quick = replace(confinement, limits=Limits(wall_seconds=1))
    assert verdict(quick, "import time\ndef f(x): time.sleep(99)", "f(1)").why == "timed out"
