"""How good are long texts, how much does each step buy, and how fast do they come?

Samples from finished runs at several lengths and numbers of steps. A text is scored by the NLL
that a judge gives it, an AR model trained on another budget (by default, of the same study), and
by how much it repeats itself: a low NLL alone is also what a text of blanks has. Held-out text
stands in the table as what a perfect model would score.

    python benchmarks/generation_quality.py RESULTS [--study quickstart] [--judge RUN]
        [--lengths 64,256,1024] [--steps 0.125,0.5,1,8] [--tokens 8192]

Lengths are in tokens; steps are for each token. Texts beyond the context go on from the last half
of it. Canvas rows at the end: short texts sampled in a canvas of their own length, against the
beginning of a text of the whole context, which is what a diffusion model was trained on.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from workbench.cli.output import emit
from workbench.data import PreparedData
from workbench.generation.generate import generate
from workbench.generation.network import network_of
from workbench.generation.samplers import SAMPLERS, samplers_of
from workbench.generation.settings import Settings
from workbench.runs.studies import find_run, studies_of
from workbench.training.loss import token_nll
from workbench.training.trained_model import RunModel, load_run_model

EMPTY = torch.zeros(0, dtype=torch.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--study", default="quickstart")
    parser.add_argument("--judge", help="a run; default: the study's AR run of the other budget")
    parser.add_argument("--lengths", default="64,256,1024")
    parser.add_argument("--steps", default="0.125,0.5,1,8")
    parser.add_argument("--temperatures", default="1.0")
    parser.add_argument("--tokens", type=int, default=8192, help="tokens sampled for each row")
    parser.add_argument("--format", default="table")
    given = parser.parse_args()
    torch.set_num_threads(1)
    models = [
        load_run_model(find_run(given.results, run), device="cpu")
        for run in studies_of(given.results)[given.study]
    ]
    judge = load_run_model(find_run(given.results, given.judge)) if given.judge else None
    rows = [_row(_held_out(given), models, judge, "held-out text")]
    for model in models:
        for temperature in map(float, given.temperatures.split(",")):
            rows += _sampled(model, models, judge, given, temperature)
    emit(rows, given.format)
    print()
    emit(list(_canvas_rows(models, judge, given)), given.format)


@dataclass(frozen=True)
class Texts:
    """Texts [K, L] of one way to make them."""

    tokens_KL: Tensor
    budget: int | None = None
    passes: float | None = None
    speed: float | None = None


def _sampled(
    model: RunModel,
    models: list[RunModel],
    judge: RunModel | None,
    given: argparse.Namespace,
    temperature: float,
) -> Iterator[dict]:
    objective = model.config.training.objective
    for name in samplers_of(objective):
        takes_steps = "steps" in SAMPLERS[name].reads
        ratios = [float(r) for r in given.steps.split(",")] if takes_steps else [None]
        for length in map(int, given.lengths.split(",")):
            for ratio in ratios:
                if name != "ancestral" and ratio is not None and ratio > 1:
                    continue  # beyond a step a token, only the reverse process changes
                steps = None if ratio is None else max(1, round(ratio * length))
                settings = Settings(
                    steps=steps,
                    temperature=temperature,
                    block_size=16 if (objective, name) == ("mdlm", "blocks") else None,
                )
                made = generate(
                    network_of(model),
                    SAMPLERS[name],
                    EMPTY,
                    length,
                    settings,
                    count=max(1, given.tokens // length),
                    window=model.context // 2,
                )
                texts = Texts(
                    made.tokens_KL,
                    model.config.data.unique_tokens,
                    made.passes,
                    made.tokens_per_second,
                )
                said = f"{objective} {name}" + ("" if temperature == 1 else f" T={temperature}")
                yield _row(texts, models, judge, said, steps)


def _row(
    texts: Texts,
    models: list[RunModel],
    judge: RunModel | None,
    name: str,
    steps: int | None = None,
) -> dict:
    count, length = texts.tokens_KL.shape
    chosen = judge or _other_budget(models, texts.budget)
    nll_K = nll(chosen, texts.tokens_KL)
    return {
        "texts": name,
        "unique_tokens": texts.budget,
        "length": length,
        "steps": steps,
        "passes": texts.passes,
        "n": count,
        "judge_nll": round(nll_K.mean().item(), 3),
        "stderr": round(nll_K.std().item() / math.sqrt(count), 3) if count > 1 else None,
        "entropy": round(_entropy(texts.tokens_KL), 3),
        "distinct_4": round(_distinct(texts.tokens_KL, 4), 3),
        "distinct_8": round(_distinct(texts.tokens_KL, 8), 3),
        "tokens_per_s": None if texts.speed is None else round(texts.speed),
    }


def _other_budget(models: list[RunModel], budget: int | None) -> RunModel:
    """The AR model of a budget that the texts' model was not trained on: the largest such."""
    judges = [
        m
        for m in models
        if m.config.training.objective == "ar" and m.config.data.unique_tokens != budget
    ]
    return max(judges, key=lambda m: m.config.data.unique_tokens)


def nll(judge: RunModel, tokens_KL: Tensor) -> Tensor:
    """[K] nats a token. A window slides by half of itself: after the first, a token is scored
    with at least half a context before it."""
    length, context = tokens_KL.shape[1], judge.context
    total_K = torch.zeros(len(tokens_KL), dtype=torch.float64)
    scored = 0
    while scored < length:
        end = min(length, scored + (context if scored == 0 else context // 2))
        window = tokens_KL[:, max(0, end - context) : end]
        inputs = torch.cat(
            [window.new_full((len(window), 1), judge.vocab.bos_id), window[:, :-1]], dim=1
        )
        each = token_nll(judge.model(inputs), window, judge.vocab.n_tokens)
        total_K += each[:, -(end - scored) :].double().sum(dim=1)
        scored = end
    return total_K / length


def _entropy(tokens_KL: Tensor) -> float:
    """Nats of the distribution of single tokens over all texts."""
    p = np.bincount(tokens_KL.flatten().numpy()) / tokens_KL.numel()
    return float(-(p[p > 0] * np.log(p[p > 0])).sum())


def _distinct(tokens_KL: Tensor, n: int) -> float:
    """Different n-grams over all n-grams of a text (Li et al. 2016), averaged over texts."""
    shares = []
    for text in tokens_KL.tolist():
        grams = [tuple(text[i : i + n]) for i in range(len(text) - n + 1)]
        shares.append(len(set(grams)) / len(grams))
    return float(np.mean(shares))


def _held_out(given: argparse.Namespace) -> Texts:
    run = find_run(given.results, studies_of(given.results)[given.study][0])
    data = PreparedData.open(given.results / run.config_json()["data"]["folder"])
    length = max(map(int, given.lengths.split(",")))
    count = max(1, given.tokens // length)
    text = data.held_out()
    starts = np.linspace(0, len(text) - length, count).astype(int)
    return Texts(torch.from_numpy(np.stack([text[s : s + length] for s in starts]).astype("int64")))


def _canvas_rows(
    models: list[RunModel], judge: RunModel | None, given: argparse.Namespace
) -> Iterator[dict]:
    for model in models:
        if model.config.training.objective == "ar":
            continue
        for length in (model.context // 8, model.context // 4, model.context // 2):
            for canvas in (length, model.context):
                made = generate(
                    network_of(model),
                    SAMPLERS["ancestral"],
                    EMPTY,
                    canvas,
                    Settings(steps=8 * canvas),
                    count=max(1, given.tokens // length),
                )
                texts = Texts(
                    made.tokens_KL[:, :length], model.config.data.unique_tokens, made.passes
                )
                yield _row(texts, models, judge, f"mdlm ancestral, canvas {canvas}")


if __name__ == "__main__":
    main()
