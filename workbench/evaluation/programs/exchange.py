"""What runs inside the jail: a program that answers calls, or the tests that call it.

Stands alone: its text is run as `python -I -S -c TEXT ROLE PACKAGES`. The two roles are processes
of their own, and only plain values pass between them, as lines of JSON: none of the program's
objects takes part in a comparison of the tests. A line is a call, [name, arguments, by keyword], or
an answer: ["value", value], ["raised", class, message] or ["unknown", type].
"""

import builtins
import functools
import json
import os
import sys
import types
from collections.abc import Callable, Iterator, KeysView, Set, ValuesView
from typing import IO, Any, NoReturn

READ_FD, WRITE_FD = 3, 4
PROGRAM_ENDED = 3
"""The tests' exit status where the program did not answer: its own end tells why."""


class NotPlain(TypeError):
    """A value that cannot be handed over; the message is its type."""


def encode(value: Any) -> Any:
    """A value as JSON: a scalar as itself, all else as [kind, parts ...].

    Subclasses become what they extend, which they equal: a Counter a dict, a namedtuple a tuple.

    Raises:
        NotPlain: an object of any other class, or a function.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, int):
        return int(value) if value.bit_length() < 64 else ["int", hex(value)]
    if isinstance(value, complex):
        return ["complex", value.real, value.imag]
    if isinstance(value, bytes | bytearray):
        return [type(value).__name__, value.hex()]
    if isinstance(value, range):
        return ["range", value.start, value.stop, value.step]
    if isinstance(value, dict):
        return ["dict", *([encode(key), encode(one)] for key, one in value.items())]
    for kind, of in _COLLECTIONS.items():
        if isinstance(value, of):
            return [kind, *map(encode, value)]
    match type(value).__module__.partition(".")[0]:
        case "decimal":
            return ["Decimal", str(value)]
        case "fractions":
            return ["Fraction", encode(value.numerator), encode(value.denominator)]
        case "numpy" if getattr(value, "ndim", None) == 0:
            return encode(value.item())
    raise NotPlain(type(value).__name__)


_COLLECTIONS: dict[str, Any] = {
    "list": list, "tuple": tuple, "set": set, "frozenset": frozenset,
    "keys": KeysView | Set, "iterator": Iterator | ValuesView,
}  # fmt: skip


def decode(sent: Any) -> Any:
    """The value of what `encode` gave: of exactly the built-in types, whoever wrote it.

    Raises:
        Exception: it is not of that form.
    """
    if not isinstance(sent, list):
        if isinstance(sent, dict):
            raise TypeError("an object where a value was expected")
        return sent
    kind, *parts = sent
    return _MADE[kind](parts)


def _fraction(parts: list[Any]) -> Any:
    from fractions import Fraction

    return Fraction(*map(decode, parts))


def _decimal(parts: list[Any]) -> Any:
    from decimal import Decimal

    return Decimal(*parts)


_MADE: dict[str, Callable[[list[Any]], Any]] = {
    "int": lambda parts: int(parts[0], 16),
    "complex": lambda parts: complex(*parts),
    "bytes": lambda parts: bytes.fromhex(parts[0]),
    "bytearray": lambda parts: bytearray.fromhex(parts[0]),
    "range": lambda parts: range(*parts),
    "dict": lambda parts: {decode(key): decode(one) for key, one in parts},
    "list": lambda parts: list(map(decode, parts)),
    "tuple": lambda parts: tuple(map(decode, parts)),
    "set": lambda parts: set(map(decode, parts)),
    "frozenset": lambda parts: frozenset(map(decode, parts)),
    "keys": lambda parts: dict.fromkeys(map(decode, parts)).keys(),
    "iterator": lambda parts: iter(list(map(decode, parts))),
    "Fraction": _fraction,
    "Decimal": _decimal,
}


def run(source: str, module: types.ModuleType) -> None:
    """Run a program to its end."""
    try:
        exec(compile(source, "program", "exec"), module.__dict__)
    except BaseException:
        sys.stdout.flush()  # what it printed stands before why it failed
        raise


def answer(source: str, module: types.ModuleType) -> None:
    """Run a program, then answer calls of its functions until nobody asks any more."""
    run(source, module)
    with open(READ_FD, "rb") as calls, open(WRITE_FD, "wb", buffering=0) as answers:
        for line in calls:
            name, arguments, by_keyword = json.loads(line)
            try:
                if name not in module.__dict__:
                    raise NameError(f"name '{name}' is not defined")
                value = module.__dict__[name](*decode(arguments), **decode(by_keyword))
                given = ["value", encode(value)]
            except NotPlain as error:
                given = ["unknown", str(error)]
            except Exception as error:
                given = ["raised", type(error).__name__, str(error)]
            sys.stdout.flush()
            answers.write(json.dumps(given).encode() + b"\n")


def check(document: str, module: types.ModuleType) -> None:
    """Run tests against what the program answers. DOCUMENT is a `Suite`, as JSON."""
    tests = json.loads(document)
    run(tests["before"], module)
    with open(WRITE_FD, "wb", buffering=0) as calls, open(READ_FD, "rb") as answers:
        for name in tests["functions"]:
            module.__dict__[name] = functools.partial(_call, calls, answers, name)
        run(tests["source"], module)


def _call(
    calls: IO[bytes], answers: IO[bytes], name: str, /, *arguments: Any, **by_keyword: Any
) -> Any:
    """Have the program answer one call: return its value, or raise what it raised.

    Where it did neither, the process ends: the tests must not catch that.
    """
    try:
        line = json.dumps([name, encode(arguments), encode(by_keyword)]).encode()
    except NotPlain as error:
        _stop(f"the tests give {name} a value of type {error}, which cannot be handed over", 1)
    try:
        calls.write(line + b"\n")
        line = answers.readline()
    except BrokenPipeError:
        line = b""
    if not line.endswith(b"\n"):
        _stop("", PROGRAM_ENDED)
    try:
        kind, *given = json.loads(line)
        value = decode(given[0])
    except Exception as error:
        _stop(f"the answer of {name} cannot be read: {type(error).__name__}", 1)
    if kind == "value":
        return value
    if kind != "raised":
        _stop(f"{name} returned a value of type {value}, which cannot be handed over", 1)
    raise _raised(*map(str, given))


def _raised(name: str, message: str) -> Exception:
    """The built-in exception of a name; of any other class, one that says it in words.

    Not StopIteration: in `all(map(f, ...))` of a test it would be no error.
    """
    of = getattr(builtins, name, None)
    if isinstance(of, type) and issubclass(of, Exception) and of is not StopIteration:
        try:
            return of(message)
        except TypeError:
            pass
    return Exception(f"{name}: {message}")


def _stop(why: str, status: int) -> NoReturn:
    sys.stdout.flush()
    print(why, file=sys.stderr, flush=True)
    os._exit(status)


if __name__ == "__main__":
    sys.path.append(sys.argv[2])
    with open(0, encoding="utf-8") as file:
        given = file.read()
    module = types.ModuleType("program")
    sys.modules["program"] = module
    {"run": run, "answer": answer, "check": check}[sys.argv[1]](given, module)
