"""The metrics a run can record: unit, direction, meaning.

`val_loss@shakespeare` is `val_loss` on the validation set of that name: what is measured stands
before the `@`, on what after it. A `_` could be part of either name, and a `/` is a folder to some
tools; an `@` that follows anything but a metric of ours, as in `pass@1`, means nothing here.
What was measured with an average of a run's weights says so last: `val_loss@ema`,
`val_loss@shakespeare@ema`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

PROTOCOLS = {
    1: "one noise draw, the same at each step; windows drawn evenly from all held-out tokens; "
    "false endings of cloze from each document alike",
    2: "noise drawn anew at each step, 2 draws on the curve and 8 at its end, with a control "
    "variate; windows capped by document; false endings of cloze drawn as the true ones are",
}
"""Of evaluation. Numbers that were measured by different protocols are not comparable, whatever
the configuration; a change of what any metric measures is a new protocol. Runs without a number
are of the first."""
PROTOCOL = max(PROTOCOLS)
"""The one that runs are measured by now."""


@dataclass(frozen=True)
class Metric:
    """One kind of number. `higher_is_better` is None where neither direction is better."""

    name: str
    unit: str
    higher_is_better: bool | None
    description: str


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("train_loss", "nats a token", False, "loss of one step's batch, as trained on"),
        Metric("val_loss", "nats a token", False, "held-out NLL (AR) or NELBO (diffusion)"),
        Metric("val_bpb", "bits a byte", False, "held-out loss per byte of text"),
        Metric("cloze_acc", "fraction", True, "4-way cloze questions answered correctly"),
        Metric("cloze_nll_true", "nats a token", False, "NLL of the true endings"),
        Metric("cloze_nll_other", "nats a token", None, "mean NLL of the other endings"),
        Metric("cloze_chance_unigram", "fraction", None, "cloze by a unigram of the endings alone"),
        Metric("cloze_chance_bigram", "fraction", None, "cloze by a bigram of the endings alone"),
        Metric("hellaswag_acc", "fraction", True, "HellaSwag by likelihood"),
        Metric("hellaswag_acc_norm", "fraction", True, "HellaSwag by likelihood per character"),
        Metric("hellaswag_nll_true", "nats a token", False, "NLL of the right endings"),
        Metric("hellaswag_nll_other", "nats a token", None, "mean NLL of the wrong endings"),
        Metric("mmlu_acc", "fraction", True, "MMLU by letter, mean over subjects"),
        Metric("mmlu_acc_norm", "fraction", True, "MMLU by text per character, mean over shots"),
        Metric("humaneval_pass@1", "fraction", True, "HumanEval solved at the first attempt"),
        Metric("mbpp_pass@1", "fraction", True, "MBPP solved at the first attempt"),
        Metric("memorised_share", "fraction", False, "window ends that greedy decoding gives back"),
        Metric("memorised_tokens", "fraction", False, "their tokens that it gives back"),
        Metric("suffix_nll", "nats a token", False, "NLL (AR) or NELBO (diffusion) of window ends"),
        Metric("tokens_per_second", "tokens/s", True, "speed of training steps alone"),
        Metric("text_nll", "nats a token", None, "NLL of generated text, by an AR run that judges"),
        Metric("text_entropy", "nats", None, "entropy of single tokens within a generated text"),
        Metric("text_distinct", "fraction", None, "different 4-grams of a generated text"),
        Metric("text_copied", "fraction", None, "n-grams of generated text that training text has"),
        Metric("text_flops", "FLOPs", None, "inference FLOPs of a generated token"),
        Metric(
            "train_joules", "J", None, "energy of the GPUs in training steps, as NVML measures it"
        ),
        Metric("lr", "", None, "learning rate"),
        Metric("moe_balance", "", False, "balance loss of the routers: 1 is even"),
        Metric("moe_z", "nats^2", None, "z-loss of the routers, before its weight"),
        Metric("moe_max_load", "", False, "busiest expert's tokens over an even share"),
        Metric("moe_entropy", "nats", None, "entropy of the routers' softmax"),
        Metric("grad_norm", "", None, "norm of the gradient before clipping"),
    )
}

RAW = "raw"
AVERAGES = {
    "ema": "the exponential moving average of the weights (training.ema)",
    "stable": "their mean from the end of the warm-up to the decay (training.average)",
}
"""Weights of a run beside those that were trained, `RAW`."""

OF_TRAINING = (
    "train_loss", "tokens_per_second", "train_joules", "lr", "grad_norm",
    "moe_balance", "moe_z", "moe_max_load", "moe_entropy",
)  # fmt: skip
"""What training steps record of themselves; all else was measured by an evaluation."""

OLD_NAMES = {
    "mmlu_continuation_acc_norm": "mmlu_acc_norm",
    **{f"mmlu_continuation_{k}shot_acc_norm": f"mmlu_{k}shot_acc_norm" for k in range(1, 65)},
}
"""What metrics are called now, by what they were called: in stored runs, tables and options."""

_HIGHER_BY_NAME = r"(_acc|_acc_norm|_accuracy)(@.*)?$|pass@\d+$"
"""Names from elsewhere of which more is better, whatever set they are measured on."""


def base_name(metric: str) -> str:
    """What is measured, without on which set."""
    base = metric.partition("@")[0]
    return base if base in METRICS else metric


def value_range(metric: str) -> tuple[float, float]:
    """The least and the largest value that a metric can have; infinite ends where none is known."""
    known = METRICS.get(base_name(metric))
    if (known and known.unit == "fraction") or re.search(_HIGHER_BY_NAME, metric):
        return 0.0, 1.0
    return (0.0 if known and known.unit in ("nats a token", "bits a byte") else -inf), inf


def of_weights(metric: str, weights: str) -> str:
    """The name of a metric that was measured with `RAW` weights or with one of `AVERAGES`."""
    return metric if weights == RAW else f"{metric}@{weights}"


def of_raw_weights(metric: str) -> str:
    """The same metric, measured with the weights themselves."""
    before, _, weights = metric.rpartition("@")
    return before if weights in AVERAGES and base_name(before) in METRICS else metric


def spellings(metric: str) -> tuple[str, ...]:
    """What a metric is called now, and the names that it had."""
    now = OLD_NAMES.get(metric, metric)
    return now, *(old for old, new in OLD_NAMES.items() if new == now)


def higher_is_better(metric: str) -> bool:
    """Whether more is better. A metric from elsewhere is judged by its name: accuracies end in
    `_acc`, `_acc_norm` or `_accuracy`, before any `@set`, and pass rates in `pass@k`; anything
    else is taken for a loss."""
    known = METRICS.get(base_name(metric))
    if known is not None:
        return bool(known.higher_is_better)
    return bool(re.search(_HIGHER_BY_NAME, metric))


def higher_is_better_sql(metric: str) -> str:
    """`higher_is_better` as an expression of DuckDB's SQL.

    Args:
        metric: an expression for the metric's name.
    """
    before = f"split_part({metric}, '@', 1)"
    base = f"if({before} IN ({_quoted(METRICS)}), {before}, {metric})"
    higher = [name for name, known in METRICS.items() if known.higher_is_better]
    return (
        f"if({base} IN ({_quoted(METRICS)}), {base} IN ({_quoted(higher)}), "
        f"regexp_matches({metric}, '{_HIGHER_BY_NAME}'))"
    )


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def unit(metric: str) -> str:
    """The metric's unit, empty where it has none or is unknown. Accuracies and pass rates from
    elsewhere are fractions, as ours are."""
    known = METRICS.get(base_name(metric))
    if known is not None:
        return known.unit
    return "fraction" if re.search(_HIGHER_BY_NAME, metric) else ""
