"""Text that goes on from a prompt until a mark: what generation tasks ask of a model."""

from dataclasses import dataclass
from typing import Protocol

import torch

from workbench.errors import InputError
from workbench.generation.completion import encode
from workbench.generation.generate import generate
from workbench.generation.network import network_of
from workbench.generation.samplers import choose_sampler
from workbench.generation.settings import Settings
from workbench.training.trained_model import RunModel


@dataclass(frozen=True)
class Writing:
    """How text is written."""

    max_new: int = 512
    """Tokens at most."""
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    sampler: str | None = None
    """None for the objective's default."""
    steps: int | None = None
    """Denoising steps; as many as tokens where None."""


class Completer(Protocol):
    """Anything that goes on from a prompt."""

    def complete(
        self, prompt: str, stop: tuple[str, ...], writing: Writing, *, count: int, first: int
    ) -> list[str]:
        """Return `count` texts after the prompt, each up to the first of the marks.

        Args:
            first: number of the first text: each number of a seed is a text of its own.
        """
        ...


def cut(completion: str, stop: tuple[str, ...]) -> str:
    """The completion up to the first place where one of the marks begins."""
    places = [place for mark in stop if (place := completion.find(mark)) >= 0]
    return completion[: min(places)] if places else completion


class RunCompleter:
    """A loaded run that writes."""

    def __init__(self, model: RunModel) -> None:
        self.model = model
        self._network = network_of(model)

    def complete(
        self, prompt: str, stop: tuple[str, ...], writing: Writing, *, count: int, first: int
    ) -> list[str]:
        """Write `count` texts after the prompt, each up to the first of the marks.

        Where prompt and text exceed the model's context, they are written in windows, each seeing
        the last half context of what is before it.

        Raises:
            InputError: the sampler does not fit the model.
        """
        new_KN = self.tokens(encode(self.model, prompt), writing, count=count, first=first)
        return [cut(self._text(new_N), stop) for new_N in new_KN]

    def tokens(
        self, prompt_P: torch.Tensor, writing: Writing, *, count: int, first: int
    ) -> torch.Tensor:
        """Return [count, max_new], all new tokens, not cut at a mark. Raises as `complete` does."""
        objective = self.model.config.training.objective
        sampler = choose_sampler(writing.sampler, objective)
        settings = Settings(
            temperature=writing.temperature,
            top_p=writing.top_p,
            seed=writing.seed,
            steps=writing.steps,
        )
        sampler.check(objective, settings)
        if writing.max_new < 1:
            raise InputError(f"--max-new {writing.max_new}: expected 1 or more.")
        return generate(
            self._network,
            sampler,
            prompt_P,
            writing.max_new,
            settings,
            count=count,
            first=first,
            window=max(1, self.model.context // 2),
        ).new_KN

    def _text(self, new_N: torch.Tensor) -> str:
        """The text of new tokens, up to the end of the document."""
        tokens = new_N.tolist()
        eod = self.model.tokenizer.vocabulary.eod_id
        return self.model.tokenizer.decode(tokens[: tokens.index(eod)] if eod in tokens else tokens)
