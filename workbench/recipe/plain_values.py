"""Values that ask for nothing: with them a run is the same as without their key."""

from typing import Any

PLAIN: dict[str, Any] = {
    "data.encoding_errors": "strict",
    "data.quality": "all",
    "data.validation_extra": (),
    "labels.ensemble_of": 1,
    "model.dropout": 0,
    "model.loops": 1,
    "model.parametrization": "standard",
    "training.activation_checkpointing": False,
    "training.cuda_graphs": False,
    "training.decay": "exponential",
    "training.deterministic": False,
    "training.input_mask": 0,
    "training.mask_aux_weight": 0,
    "training.muon_momentum": 0.95,
    "training.muon_scaling": "match_rms_adamw",
    "training.noise_samples": 1,
    "training.optimizer": "adamw",
}
"""By dotted key. They leave the resolved configuration, so that a run which does not use a key is
one run whether or not its recipe names it, and a comparison finds that run by either."""


def plain_word(key: str) -> str | None:
    """The plain value of a key, or of one of a side ("baseline.training.optimizer"), where it is a
    word; else None: what has no number has not got the plain one by that, since some objectives do
    not have the key."""
    value = PLAIN.get(key.removeprefix("baseline.").removeprefix("challenger."))
    return value if isinstance(value, str) else None
