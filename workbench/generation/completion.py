"""Completions of a text prompt by a run's model, as `workbench sample` shows them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from workbench.errors import InputError
from workbench.generation.generate import Generated, generate
from workbench.generation.network import network_of
from workbench.generation.samplers import Sampler
from workbench.generation.settings import Settings
from workbench.training.trained_model import RunModel


@dataclass(frozen=True)
class Completions:
    """One row a text, and what they cost together."""

    rows: list[dict[str, Any]]
    generated: Generated
    sampler: str
    device: str
    dtype: str
    notes: tuple[str, ...] = ()

    def summary(self) -> str:
        """Describe what was made and how fast: for stderr."""
        made = self.generated
        cost = (
            f"{made.new_KN.numel()} tokens in {made.seconds:.2f} s: "
            f"{made.tokens_per_second:.0f} tokens a second, {made.passes:.4g} forward passes of "
            f"the model a text ({self.sampler}, {self.device}, {self.dtype})."
        )
        return "\n".join((*self.notes, cost))


def read_prompt(text: str, file: Path | None) -> str:
    """The prompt, from the command line or from a file.

    Raises:
        InputError: both are given, or the file cannot be read as UTF-8.
    """
    if file is None:
        return text
    if text:
        raise InputError("--prompt and --prompt-file: give one of them.")
    try:
        return file.read_bytes().decode("utf-8")
    except OSError as error:
        raise InputError(f"--prompt-file {file}: cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError as error:
        raise InputError(f"--prompt-file {file}: not UTF-8 text (byte {error.start}).") from None


def encode(model: RunModel, text: str) -> torch.Tensor:
    """[P] int64 ids of a text; none for no text."""
    ids = [int(i) for i in model.tokenizer.encode([text])[0]] if text else []
    return torch.tensor(ids, dtype=torch.int64)


def complete(
    model: RunModel,
    sampler: Sampler,
    prompt: str,
    settings: Settings,
    *,
    n_new: int | None = None,
    count: int = 1,
    window: int | None = None,
) -> Completions:
    """Sample completions of a prompt. A text ends where its document ends.

    Args:
        n_new: tokens to add; None fills the model's context.
        count, window: as for `generate`.

    Raises:
        InputError: the sampler does not fit the model, or the text does not fit the context.
    """
    sampler.check(model.config.training.objective, settings)
    if model.device.type == "cpu":
        # As in training: other numbers give other bits, and small models no more speed.
        torch.set_num_threads(model.config.training.threads)
    prompt_P = encode(model, prompt)
    if n_new is None:
        n_new = model.context - len(prompt_P)
        if n_new < 1:
            raise InputError(
                f"--prompt: its {len(prompt_P)} tokens fill the model's context of "
                f"{model.context}. Shorten it, or give --tokens and --window."
            )
    made = generate(
        network_of(model), sampler, prompt_P, n_new, settings, count=count, window=window
    )
    eod = model.tokenizer.vocabulary.eod_id
    rows = []
    for number, new_N in enumerate(made.new_KN.tolist()):
        ended = eod in new_N
        text_N = new_N[: new_N.index(eod)] if ended else new_N
        rows.append(
            {
                "sample": number,
                "prompt": prompt,
                "text": model.tokenizer.decode(text_N),
                "tokens": len(text_N),
                "ended": ended,
                "sampler": sampler.name,
                **({"sampler_numbers": sampler.numbers} if sampler.numbers else {}),
                "steps": settings.steps or (n_new if "steps" in sampler.reads else None),
                "passes": made.passes,
                "temperature": settings.temperature,
                "top_p": settings.top_p,
                "seed": settings.seed,
                "windows": made.windows,
                "tokens_per_second": made.tokens_per_second,
            }
        )
    notes: tuple[str, ...] = ()
    if made.windows > 1:
        notes = (
            f"Beyond the context of {model.context} tokens: made in {made.windows} windows, each "
            f"going on from the last {window} tokens and seeing none before them.",
        )
    return Completions(rows, made, sampler.name, model.device.type, model.dtype, notes)
