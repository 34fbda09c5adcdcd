"""A trained run as a model of lm-evaluation-harness, for its tasks and its prompts.

Needs the extra `eval`. With the harness's own command:

    from workbench.evaluation.harness import WorkbenchLM
    lm_eval.simple_evaluate(WorkbenchLM(opened, draws=32), tasks=["hellaswag"])

Likelihoods are those of `likelihood.py`: exact for AR, a bound's estimate for diffusion, with the
same masks for all options of a document. The harness's tasks that run programs stay refused:
`workbench eval --tasks humaneval` runs them confined.
"""

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from lm_eval.api.model import LM

from workbench.evaluation.complete import RunCompleter, Writing
from workbench.evaluation.likelihood import Continuation, continuation_nll, windows
from workbench.evaluation.question_files import encode_pairs
from workbench.evaluation.tasks import batch_for

if TYPE_CHECKING:
    from workbench.evaluation.opened import Opened

_WINDOWS = 2**12  # numbers of a document's windows: their noise differs
_MAX_NEW = 256  # the harness's own default


class WorkbenchLM(LM):
    """A run's checkpoint, answering the harness's three kinds of request."""

    def __init__(
        self, opened: "Opened", *, draws: int = 32, seed: int = 0, writing: Writing | None = None
    ) -> None:
        """Make a harness model of an opened run.

        Args:
            draws: masks a continuation, where likelihoods are bounds.
            writing: how text is generated, where a task does not say.
        """
        super().__init__()
        self.opened = opened
        self.draws = draws
        self.seed = seed
        self.writing = writing or Writing(_MAX_NEW, seed=seed)
        self._completer = RunCompleter(opened.model)

    @property
    def tokenizer_name(self) -> str:
        return self.opened.model.config.data.tokenizer

    def loglikelihood(
        self, requests: list[Any], disable_tqdm: bool = False
    ) -> list[tuple[float, bool]]:
        """(log-likelihood, whether greedy decoding would write it) of each continuation.

        Greedy decoding is only tried where a document has one continuation: where it has several,
        they are options, and only their likelihoods are compared.
        """
        pairs = encode_pairs(self.opened.model.tokenizer, [request.args for request in requests])
        numbers = _numbers(requests)
        rows = [
            Continuation(context, answer, number)
            for (context, answer), number in zip(pairs, numbers, strict=True)
        ]
        nll_R = self._nll(rows)
        continuations = Counter(
            (request.task_name, number) for request, number in zip(requests, numbers, strict=True)
        )
        return [
            (-float(nll), continuations[request.task_name, row.question] == 1 and self._greedy(row))
            for request, row, nll in zip(requests, rows, nll_R, strict=True)
        ]

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Log-likelihood of each text, in windows of the model's context."""
        texts = [request.args[0] for request in requests]
        rows: list[Continuation] = []
        of_text: list[int] = []
        encoded = self.opened.model.tokenizer.encode(texts)
        for place, (number, tokens) in enumerate(zip(_numbers(requests), encoded, strict=True)):
            cut = windows(tokens, context=self.opened.model.context, question=number * _WINDOWS)
            rows += cut
            of_text += [place] * len(cut)
        totals = np.bincount(of_text, weights=self._nll(rows), minlength=len(texts))
        return [-float(total) for total in totals]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Text after each context, up to the first of the task's marks."""
        written = []
        for request, number in zip(requests, _numbers(requests), strict=True):
            context, asked = request.args
            until = asked.get("until") or []
            stop = (until,) if isinstance(until, str) else tuple(until)
            writing = self._writing(asked)
            (text,) = self._completer.complete(context, stop, writing, count=1, first=number)
            written.append(text)
        return written

    def _writing(self, asked: dict[str, Any]) -> Writing:
        """How a task wants its text written."""
        temperature = float(asked.get("temperature") or self.writing.temperature)
        if not asked.get("do_sample", temperature > 0):
            temperature = 0.0
        return replace(
            self.writing,
            max_new=int(asked.get("max_gen_toks", self.writing.max_new)),
            temperature=temperature,
            top_p=float(asked.get("top_p", self.writing.top_p)),
        )

    def _nll(self, rows: list[Continuation]) -> np.ndarray:
        context = self.opened.model.context
        nll: np.ndarray = continuation_nll(
            self.opened.scorer,
            rows,
            context=context,
            draws=self.draws,
            seed=self.seed,
            batch=batch_for(context),
        ).mean(axis=1)
        return nll

    def _greedy(self, row: Continuation) -> bool:
        room = self.opened.model.context - len(row.answer)
        if not len(row.answer) or room < 0:
            return False
        prompt = torch.as_tensor(np.asarray(row.context)[max(0, len(row.context) - room) :])
        greedy = replace(self.writing, max_new=len(row.answer), temperature=0.0)
        new_N = self._completer.tokens(prompt, greedy, count=1, first=0)[0]
        return new_N.tolist() == list(row.answer)


def _numbers(requests: list[Any]) -> list[int]:
    """A number for each request's document, which the options of a question share."""
    return [
        place if request.doc_id is None else int(request.doc_id)
        for place, request in enumerate(requests)
    ]
