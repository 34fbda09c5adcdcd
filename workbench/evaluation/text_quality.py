"""How good generated text is, by denoising steps and by length, and what it cost.

Held-out windows give the prompts: the same ones for every run of equal data. A text that goes on
from one is measured by

- `text_nll`: nats a token by a judge, an AR run that reads prompt and text. Text that repeats
  itself is likely too, so that a low number alone means little;
- `text_entropy`, `text_distinct`: the entropy of its single tokens, and the share of its 4-grams
  that are different (Li et al. 2016, arXiv 1510.03055), which fall where it repeats itself;
- `text_copied`: the share of its n-grams that occur in the unique windows that the run was trained
  on, n as in `workbench audit`;
- `text_flops`: inference FLOPs of a new token.

The held-out text after the same prompts is measured in the same way: `text_nll@held-out-64`. What
stands after the @ says how a text was made: `ancestral-64-in-16`, 64 tokens in 16 steps.

Shape suffixes: K texts, P tokens of a prompt, N new tokens, L of both.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workbench import stages
from workbench.data.ngrams import Texts, find_overlap
from workbench.data.overlap_audit import default_ngram, training_blocks
from workbench.data.streams import validation_windows
from workbench.errors import InputError
from workbench.evaluation.opened import EvalOptions, Opened, evaluated
from workbench.evaluation.tasks import Measured
from workbench.generation.generate import generate
from workbench.generation.network import network_of
from workbench.generation.samplers import Sampler, choose_sampler, sampler_label
from workbench.generation.settings import Settings
from workbench.planning.flops import sampling_flops
from workbench.recipe.objectives import BASELINE
from workbench.recipe.task_names import TEXT
from workbench.runs.evaluations import Evaluated
from workbench.runs.folder import RunFolder
from workbench.runs.items import Items
from workbench.runs.studies import find_run
from workbench.store import query
from workbench.store.query import literal
from workbench.training.loss import token_nll
from workbench.training.trained_model import RunModel, load_run_model
from workbench.training.validation import Estimate

Floats = NDArray[np.float64]

PROMPTS = 64
_AT_ONCE = 64
_GRAM = 4
_HELD_OUT = "held-out"


@dataclass(frozen=True)
class Judge:
    """The AR run that scores texts."""

    run_id: str
    model: RunModel

    def nll(self, tokens_KL: Tensor, n_prompt: int) -> Floats:
        """[K] nats of each text after its prompt."""
        vocab, found = self.model.vocab, []
        for chunk_BL in tokens_KL.to(self.model.device).split(_AT_ONCE):
            bos_B1 = chunk_BL.new_full((len(chunk_BL), 1), vocab.bos_id)
            with torch.no_grad():
                logits_BLV = self.model.model(torch.cat([bos_B1, chunk_BL[:, :-1]], dim=1))
            nll_BL = token_nll(logits_BLV, chunk_BL, vocab.n_tokens)
            found.append(nll_BL[:, n_prompt:].double().sum(dim=1).cpu())
        return np.asarray(torch.cat(found))

    def check(self, model: RunModel, longest: int) -> None:
        """Raises:
        InputError: its tokens are not the model's, or a text is longer than its context.
        """
        if self.model.tokenizer.identity != model.tokenizer.identity:
            raise InputError(
                f"--judge {self.run_id}: its tokenizer is not that of the run that it shall judge. "
                "Name an AR run of the same tokenizer."
            )
        if longest > self.model.context:
            raise InputError(
                f"--judge {self.run_id}: it reads {self.model.context} tokens, and prompt and text "
                f"have {longest}. Ask for shorter texts (--lengths), or name another judge."
            )


def find_judge(
    results: Path, runs: list[RunFolder], name: str | None, *, device: str, dtype: str
) -> Judge:
    """Load the run that is named, or the AR run of the runs' studies with the lowest held-out loss.

    Raises:
        InputError: no such run, or it is not AR.
    """
    run = find_run(results, _best(results, runs) if name is None else name)
    model = load_run_model(run, device=device, dtype=dtype)
    objective = model.config.training.objective
    if objective != BASELINE:
        raise InputError(f"--judge {run.run_id}: expected an AR run; its objective is {objective}.")
    return Judge(run.run_id, model)


def _best(results: Path, runs: list[RunFolder]) -> str:
    names = ", ".join(literal(run.run_id) for run in runs)
    frame = query(
        results,
        f"""SELECT DISTINCT run_id, value FROM final JOIN study_runs USING (run_id)
              JOIN runs USING (run_id)
            WHERE metric = 'val_loss' AND runs.objective = '{BASELINE}'
              AND runs.state = 'finished' AND NOT coalesce(imported, false)
              AND study IN (SELECT study FROM study_runs WHERE run_id IN ({names}))
            ORDER BY value, run_id LIMIT 1""",
    )
    if frame.is_empty():
        raise InputError("--judge: name an AR run; the studies of these runs have no finished one.")
    return str(frame["run_id"][0])


@dataclass(frozen=True)
class _Prompts:
    """Held-out windows: their beginnings are prompts, and what follows is held-out text."""

    windows_KL: Tensor
    document_K: NDArray[np.int64]
    n_prompt: int

    @classmethod
    def of(cls, opened: Opened, count: int, longest: int) -> "_Prompts":
        """One window of as many documents as there are, then others.

        Raises:
            InputError: prompt and text are longer than the model's context.
        """
        context = opened.model.context
        n_prompt = max(1, context // 4)
        if n_prompt + longest > context:
            raise InputError(
                f"--lengths {longest}: with a prompt of {n_prompt} that is longer than the "
                f"{context} tokens that the model was trained on. Ask for {context - n_prompt} or "
                "less."
            )
        drawn = validation_windows(opened.prepared(), opened.model.config.data)
        _, first = np.unique(drawn.document_N, return_index=True)
        others = np.setdiff1d(np.arange(len(drawn.document_N)), first)
        chosen = np.sort(np.concatenate([np.sort(first), others])[:count])
        windows_KL = torch.from_numpy(drawn.tokens_NL[chosen].astype(np.int64))
        return cls(windows_KL, drawn.document_N[chosen].astype(np.int64), n_prompt)


def ask_texts(opened: Opened, options: EvalOptions, judge: Judge) -> Iterator[Evaluated]:
    """The numbers of each length and number of steps, and those of held-out text.

    Raises:
        InputError: the sampler does not fit the model, or texts do not fit a context.
    """
    model, asked = opened.model, options.texts
    lengths = asked.lengths or (max(1, model.context // 2),)
    prompts = _Prompts.of(opened, options.questions or PROMPTS, max(lengths))
    judge.check(model, prompts.n_prompt + max(lengths))
    if judge.run_id in opened.members:
        print(f"Note: run {judge.run_id} judges its own texts.", file=sys.stderr)
    data = model.config.data
    n = default_ngram(data)
    blocks = training_blocks(opened.prepared(), data, "unique")
    sampler = choose_sampler(asked.sampler, model.config.training.objective)
    for name, tokens_KL, made in _made(opened, options, sampler, prompts, lengths):
        began = time.perf_counter()
        marks = f"judge={judge.run_id}/ngram={n}/prompt={prompts.n_prompt}/prompts={len(tokens_KL)}"
        if made is not None:
            marks += (
                f"/sampler={sampler_label(sampler.name)}/temperature={asked.temperature:g}"
                f"/seed={options.seed}"
            )
        numbers = {
            "nll": judge.nll(tokens_KL, prompts.n_prompt),
            **_of_itself(tokens_KL[:, prompts.n_prompt :].numpy()),
            "copied": find_overlap(
                Texts.of_rows(tokens_KL[:, prompts.n_prompt :].numpy()), n, blocks(n)
            ).shares(len(tokens_KL)),
            **({} if made is None else {"flops": np.full(len(tokens_KL), made)}),
        }
        seconds = time.perf_counter() - began
        for measure, value_K in numbers.items():
            count = tokens_KL.shape[1] - prompts.n_prompt if measure == "nll" else 1
            measured = _measured(f"text_{measure}@{name}", value_K, count, prompts, marks)
            if measured is not None:
                yield evaluated(TEXT, measured, options, seconds=seconds, model=model)


def _made(
    opened: Opened,
    options: EvalOptions,
    sampler: Sampler,
    prompts: _Prompts,
    lengths: tuple[int, ...],
) -> Iterator[tuple[str, Tensor, float | None]]:
    """(how it was made, texts [K, L], inference FLOPs of a new token), held-out text first."""
    model, asked = opened.model, options.texts
    network, shape = network_of(model), model.config.model.shape
    prompt_KP = prompts.windows_KL[:, : prompts.n_prompt]
    cached = sampler.one_by_one or network.block_size is not None
    group = (network.block_size or 1) if network.reader is not None else None
    for length in lengths:
        whole = prompts.n_prompt + length
        yield f"{_HELD_OUT}-{length}", prompts.windows_KL[:, :whole], None
        for per_step in asked.per_step if "steps" in sampler.reads else (None,):
            steps = None if per_step is None else -(-length // per_step)
            stages.doing(f"texts of {length} tokens by {opened.members[0]}")
            settings = Settings(temperature=asked.temperature, seed=options.seed, steps=steps)
            sampler.check(model.config.training.objective, settings)
            texts = generate(network, sampler, prompt_KP, length, settings, count=len(prompt_KP))
            flops = sampling_flops(shape, whole, texts.passes, group, cached=cached) / length
            name = f"{sampler.name}-{length}" + ("" if steps is None else f"-in-{steps}")
            name += "" if asked.temperature == 1 else f"-T{asked.temperature:g}"
            yield name, texts.tokens_KL, flops


def _of_itself(new_KN: NDArray[np.int64]) -> dict[str, Floats]:
    """What texts show without anything else: how much each of them repeats itself."""
    entropy, distinct = [], []
    for text_N in new_KN:
        share = np.unique(text_N, return_counts=True)[1] / len(text_N)
        entropy.append(float(-(share * np.log(share)).sum()))
        grams = np.lib.stride_tricks.sliding_window_view(text_N, min(_GRAM, len(text_N)))
        distinct.append(len(np.unique(grams, axis=0)) / len(grams))
    return {"entropy": np.array(entropy), "distinct": np.array(distinct)}


def _measured(
    metric: str, value_K: Floats, count: int, prompts: _Prompts, estimator: str
) -> Measured | None:
    """A mean over texts with its standard error over the prompts' documents; None where no text is
    long enough to have the number."""
    if not np.isfinite(value_K).all():
        return None
    ones = np.ones(len(value_K))
    items = Items(prompts.document_K, value_K, count * ones, ones)
    estimate = Estimate(items.value, items.stderr, len(value_K), documents=items.documents)
    return Measured(metric, estimate, estimator, items)
