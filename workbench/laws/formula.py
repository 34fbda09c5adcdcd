"""A law's formula with its fitted numbers, and as LaTeX: both from the text in the registry."""

import re
from collections.abc import Mapping
from itertools import pairwise

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+\.?\d*(?:e[+-]?\d+)?)|(?P<name>[A-Za-z]+\d*(?:_\w+)?'?)|(?P<sign>[-+=/^(),;]))"
)
_GREEK = {"alpha", "beta", "gamma", "delta", "kappa", "mu", "nu"}
_OPEN, _CLOSE = r"\left(", r"\right)"
_FUNCTIONS = {"exp", "log"}


def with_numbers(formula: str, values: Mapping[str, float]) -> str:
    """The formula with numbers of four digits in the places of its parameters; an equation that
    defines a parameter is left out."""
    equations = formula.split(", ")
    formula = ", ".join(one for one in equations if one.partition(" = ")[0] not in values)
    for name, value in values.items():
        number = f"{value:.4g}"
        word = number if value >= 0 else f"({number})"
        formula = re.sub(rf"(?<![\w']){re.escape(name)}(?![\w'])", word, formula)
    return formula


def latex(formula: str) -> str | None:
    """The formula as LaTeX; None where it is described in words. What stands after a colon is a
    remark, and left out."""
    text = formula.partition(":")[0]
    tokens, place = [], 0
    while place < len(text.rstrip()):
        found = _TOKEN.match(text, place)
        if found is None:
            return None
        tokens.append(found[0].strip())
        place = found.end()
    reader = _Reader(tokens)
    try:
        parts = [reader.equation()]
        while reader.take(",") or reader.take(";"):
            parts.append(reader.equation())
    except (IndexError, ValueError):
        return None
    return None if reader.tokens else r", \quad ".join(parts)


class _Reader:
    """Reads equations, sums, products and powers from the tokens that are left."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens

    def take(self, sign: str) -> bool:
        """Whether the next token is this one, which then is taken."""
        if self.tokens and self.tokens[0] == sign:
            del self.tokens[0]
            return True
        return False

    def equation(self) -> str:
        left = self.sum()
        if not self.take("="):
            raise ValueError("words, and no equation")
        return f"{left} = {self.sum()}"

    def sum(self) -> str:
        text = ("-" if self.take("-") else "") + self.product()
        while self.tokens and self.tokens[0] in "+-":
            text += f" {self.tokens.pop(0)} {self.product()}"
        return text

    def product(self) -> str:
        """Factors beside each other; what stands before a slash is over what stands after it."""
        over = [self.power()]
        while self.tokens and self.tokens[0] not in "+-=,;)^":
            if self.take("/"):
                over = [rf"\frac{{{_bare(_joined(over))}}}{{{_bare(self.power())}}}"]
            else:
                over.append(self.power())
        return _joined(over)

    def power(self) -> str:
        base = self.atom()
        return f"{base}^{{{_bare(self.atom())}}}" if self.take("^") else base

    def atom(self) -> str:
        token = self.tokens.pop(0)
        if token == "(":
            inside = self.sum()
            if not self.take(")"):
                raise ValueError("a bracket is not closed")
            return f"{_OPEN}{inside}{_CLOSE}"
        if token in _FUNCTIONS:
            return rf"\{token} {self.power()}"
        if token[0].isdigit():
            digits, _, exponent = token.partition("e")
            return rf"{digits} \times 10^{{{int(exponent)}}}" if exponent else digits
        if not token[0].isalpha():
            raise ValueError(f"{token} begins nothing")
        return _name(token)


def _joined(factors: list[str]) -> str:
    """Factors beside each other; two numbers with a sign between them."""
    text = factors[0]
    for before, factor in pairwise(factors):
        both = before[-1].isdigit() and factor[0].isdigit()
        text += (r" \cdot " if both else r" \, ") + factor
    return text


def _bare(text: str) -> str:
    """Without the brackets around all of it, where a fraction or an exponent needs none."""
    if not (text.startswith(_OPEN) and text.endswith(_CLOSE)):
        return text
    inside, depth = text[len(_OPEN) : -len(_CLOSE)], 0
    for bracket in re.findall(r"\\left\(|\\right\)", inside):
        depth += 1 if bracket == _OPEN else -1
        if depth < 0:  # the first one is closed before the end
            return text
    return inside


def _name(token: str) -> str:
    """A quantity's name: Greek letters, subscripts and primes as they are printed."""
    name, prime = token.removesuffix("'"), "'" if token.endswith("'") else ""
    word, _, below = name.partition("_")
    if not below and (found := re.fullmatch(r"([A-Za-z]+?)(\d+)", word)):
        word, below = found.groups()
    if word in _GREEK:
        word = f"\\{word}"
    elif len(word) > 1:
        word = rf"\mathrm{{{word}}}"
    if len(below) > 1:
        below = rf"\mathrm{{{below}}}"
    return word + prime + (f"_{{{below}}}" if below else "")
