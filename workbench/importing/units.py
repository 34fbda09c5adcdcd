"""Numbers that look as if they were in another unit: asked about, never guessed.

`--unit NAME=FACTOR` says what one of a column's unit is; with 1 it confirms the column's own.
"""

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from workbench.errors import InputError

Array = NDArray[np.float64]

# What headers say of units: "tokens (B)", "params [M]", "Tokens in billions", "D / 1e9".
_SCALE = re.compile(
    r"[(\[]\s*(?:in\s+)?(?:[kKmMbBgGtT]|[kKmMbBgGtT]n|x?\s*1e\d+|%|percent)\s*[)\]]"
    r"|\b(?:thousand|million|billion|trillion)s?\b|\b1e\d+\b|PF-?days?|petaflop|%",
    re.IGNORECASE,
)
_FEWEST_PARAMS = 1000
_FEWEST_TOKENS = 1e-4  # for each parameter, at the end of the longest run
_MOST_EPOCHS = 10_000
_MOST_LOSS = 15.0  # nats: a uniform guess over three million tokens
_FLOPS_OFF = 100.0  # times 6 N D; the active parameters of a mixture of experts are fewer


def parse_units(given: Mapping[str, str]) -> dict[str, float]:
    """`n_params=1e9` as a number for each name.

    Raises:
        InputError: a factor is no positive number.
    """
    units = {}
    for name, text in given.items():
        try:
            units[name] = float(text)
        except ValueError:
            units[name] = 0.0
        if not 0 < units[name] < np.inf:
            raise InputError(
                f"--unit {name}={text}: expected how much one of it is, such as --unit "
                "n_params=1e9 where parameters are in billions."
            )
    return units


def check_headers(origin: str, theirs: Mapping[str, str], units: Mapping[str, float]) -> None:
    """Ask about columns whose headers speak of a unit.

    Args:
        theirs: our name -> the file's.

    Raises:
        InputError: there is one, and `units` does not have it.
    """
    for ours, header in theirs.items():
        if ours not in units and _SCALE.search(header):
            raise InputError(
                f"{origin}: the column {header} seems to be in a unit of its own. Say what one of "
                f"it is, such as --unit {ours}=1e9, or --unit {ours}=1 where it is plain {ours}."
            )


def check_sizes(
    origin: str,
    units: Mapping[str, float],
    *,
    n_params: Array,
    total_tokens: Array,
    unique_tokens: Array | None = None,
    compute: Array | None = None,
    compute_from: str = "compute",
) -> None:
    """Ask about counts that no run has.

    Raises:
        InputError: one of them looks like another unit, and `units` does not have it.
    """
    checks: list[tuple[str, bool, str]] = []
    largest = n_params.max()
    checks.append(
        ("n_params", largest < _FEWEST_PARAMS, f"no model has more than {largest:g} parameters")
    )
    each = (total_tokens / n_params).max()
    what = f"no run has more than {each:.3g} training tokens for each parameter"
    checks.append(("total_tokens", each < _FEWEST_TOKENS, what))
    if unique_tokens is not None:
        epochs = (total_tokens / unique_tokens).max()
        what = f"total tokens are up to {epochs:,.0f} times the unique ones"
        checks.append(("unique_tokens", epochs > _MOST_EPOCHS, what))
    if compute is not None:
        off = float(np.median(compute / (6 * n_params * total_tokens)))
        what = f"it is about {off:.3g} times 6 n_params total_tokens"
        checks.append((compute_from, not 1 / _FLOPS_OFF < off < _FLOPS_OFF, what))
    for name, odd, what in checks:
        if odd and name not in units:
            examples = {"compute": "1e18", "flops": "1e18", "total_tokens": "1e6"}
            raise InputError(
                f"{origin}: {name} seems to be in another unit: {what}. Say what one of it is, "
                f"such as --unit {name}={examples.get(name, '1e9')}, or --unit {name}=1 where the "
                "numbers are right as they are."
            )


def check_losses(origin: str, metric: str, smallest: float, units: Mapping[str, float]) -> None:
    """Ask about a loss that is never as low as a uniform guess.

    Raises:
        InputError: it looks like a perplexity, and `units` does not have it.
    """
    if smallest > _MOST_LOSS and metric not in units:
        raise InputError(
            f"{origin}: {metric} is never below {smallest:g} nats a token. A perplexity, or the "
            f"loss of a whole sequence? Take the logarithm of the one; --unit {metric}=FACTOR says "
            f"what one of the other is, --unit {metric}=1 that the numbers are right."
        )
