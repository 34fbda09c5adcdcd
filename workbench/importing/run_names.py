"""Parsing the name of a TensorBoard run: `{unique}_{epochs}e_{objective}[_{size}][_{tag}]`."""

import re
from dataclasses import dataclass
from decimal import Decimal

from workbench.importing.points import objective_name

FORM = "{unique}_{epochs}e_{ar|difflm}[_{size}][_{tag}], such as 1b_96e_difflm_8b or 0b5_192e_ar"
_UNITS = {"k": 3, "m": 6, "b": 9, "t": 12}
_COUNT = r"\d+(?:\.\d+)?[kmbt]\d*"
_OBJECTIVES = "autoregressive|masked_diffusion|difflm|diffusion|mdlm|mdm|dlm|gpt|ar"
_NAME = re.compile(
    rf"(?P<unique>{_COUNT})_(?P<epochs>\d+(?:\.\d+)?)e_(?P<objective>{_OBJECTIVES})"
    r"(?:_(?P<rest>.+))?",
    re.IGNORECASE,
)
# 8b1a: 8 billion parameters in all, 1 billion of them active.
_SIZE = re.compile(rf"(?P<all>{_COUNT}?)(?:(?P<active>\d+)a)?", re.IGNORECASE)


@dataclass(frozen=True)
class RunName:
    """A parsed name. Counts are of tokens and parameters."""

    unique_tokens: int
    epochs: Decimal
    objective: str
    size: str | None
    n_params: int | None
    labels: dict[str, str]
    """Further keys that distinguish the run, such as the planned epochs, on which the learning rate
    depends."""

    @property
    def total_tokens(self) -> int:
        """Training tokens at the end of the whole run."""
        return int(self.unique_tokens * self.epochs)


def count(text: str) -> int:
    """The number that `500m`, `1b`, `0b5` (0.5 billion) or `1.5b` stands for."""
    match = re.fullmatch(r"(\d+)(?:\.(\d+))?([kmbt])(\d*)", text.lower())
    if match is None:
        raise ValueError(f"{text} is no count")
    whole, fraction, unit, behind = match.groups()
    return int(Decimal(f"{whole}.{fraction or ''}{behind}0").scaleb(_UNITS[unit]))


def parse_name(path: str) -> RunName | None:
    """Parse a folder's path; None where no part of it has the form of a run's name.

    The innermost part that has it is the name; the folders around it become a label.
    """
    parts = path.split("/")
    for place in reversed(range(len(parts))):
        match = _NAME.fullmatch(parts[place])
        if match is None or count(match["unique"]) == 0 or Decimal(match["epochs"]) == 0:
            continue
        around = [part for part in (*parts[:place], *parts[place + 1 :]) if part != "."]
        return _run(match, {"folder": "/".join(around)} if around else {})
    return None


def _run(match: re.Match[str], labels: dict[str, str]) -> RunName:
    head, _, behind = (match["rest"] or "").partition("_")
    size = _SIZE.fullmatch(head)
    tag = behind if size else match["rest"]
    if tag:
        labels["tag"] = tag
    if size and size["active"]:
        labels["n_params_active"] = str(int(size["active"]) * 10**9)
    labels["planned_epochs"] = match["epochs"]
    objective = objective_name(match["objective"])
    assert objective is not None
    return RunName(
        unique_tokens=count(match["unique"]),
        epochs=Decimal(match["epochs"]),
        objective=objective,
        size=head.lower() if size else None,
        n_params=count(size["all"]) if size else None,
        labels=labels,
    )
