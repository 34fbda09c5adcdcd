"""What a recipe's values can be: the types that its tables are made of."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic_core import PydanticCustomError

from workbench.recipe.objectives import OBJECTIVES


def _whole(value: object) -> object:
    """A float such as `2e9` as the whole number that it is; beyond 2^53 floats leave some out."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    return value


AS_WHOLE = BeforeValidator(_whole)
Whole = Annotated[int, Field(strict=True, ge=0), AS_WHOLE]
Count = Annotated[int, Field(strict=True, gt=0), AS_WHOLE]
Positive = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63), AS_WHOLE]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True, min_length=1)]


IN_A_RECIPE = {"in_a_recipe": True}
"""The context of validation in which an objective must be known. The configuration of a trained
run can be read without the plug-in that its objective came from."""


def _known_objective(name: str, info: ValidationInfo) -> str:
    if info.context != IN_A_RECIPE or name in OBJECTIVES:
        return name
    *others, last = (f"'{known}'" for known in OBJECTIVES)
    expected = f"{', '.join(others)} or {last}"
    raise PydanticCustomError("literal_error", "{expected}", {"expected": expected})


ObjectiveName = Annotated[str, AfterValidator(_known_objective)]

# What a pattern asks for, in words: a text that does not match is answered with them.
PATTERNS = {
    "study": r"^[A-Za-z0-9_][A-Za-z0-9._-]*$",
    "time": r"^(\d+|(\d+-)?\d+:\d{1,2}(:\d{1,2})?|\d+-\d+)$",
    "memory": r"^\d+[KMGT]?$",
    "variable": r"^[A-Za-z_][A-Za-z0-9_]*$",
    # sbatch divides a line into words as a shell does, and one option must not bring another.
    "option": r"""^--[a-z][a-z0-9-]*(=([!$-&(-\[\]-~]+|"[^"\\\x00-\x1f]+"|'[^'\\\x00-\x1f]+'))?$""",
    "slurm": r"^[!#-&(-\[\]-~]+$",
}
PATTERN_WORDS = {
    PATTERNS["study"]: "letters, digits, '.', '_' and '-', beginning with neither '.' nor '-'",
    PATTERNS["time"]: "minutes, hours:minutes:seconds or days-hours, as sbatch takes them",
    PATTERNS["memory"]: "a number with K, M, G or T, such as 16G",
    PATTERNS["variable"]: "the name of an environment variable",
    PATTERNS["option"]: "an option as sbatch has it, such as --exclusive or --reservation=mine, "
    "its value in quotes where it has spaces",
    PATTERNS["slurm"]: "a word as sbatch takes it, without spaces, quotes or backslashes",
}


class Table(BaseModel):
    """A table of a recipe: unknown keys are refused, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)
