"""Memorisation: what a model has learnt by heart comes back, what it has not does not."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.running.test_worker import make_run, values
from workbench.data import PreparedData
from workbench.evaluation.argmax import Likeliest
from workbench.evaluation.audit import AuditOptions, audit_run
from workbench.evaluation.decoding import by_confidence, left_to_right
from workbench.evaluation.memorisation import memorisation_windows, suffix_tokens
from workbench.recipe import run_config
from workbench.running import worker
from workbench.training.objectives.aoar import AnyOrder
from workbench.training.objectives.base import Vocab

VOCAB = Vocab(n_tokens=10, size=16, mask_id=10, bos_id=11)
KNOWS_ITS_VOCABULARY = AnyOrder(VOCAB, seed=0)  # all that these two ask of an objective


class Copycat:
    """Knows some rows by heart: it goes on as the row that fits what it sees best."""

    def __init__(self, known: Tensor, *, causal: bool) -> None:
        self.known, self.causal = known, causal
        self.seen: list[Tensor] = []

    def __call__(self, inputs_BL: Tensor) -> Likeliest:
        self.seen.append(inputs_BL.clone())
        length = inputs_BL.shape[1]
        fits = self.known[None, :, :]
        if self.causal:  # the input at i + 1 is token i
            same = fits[..., :-1] == inputs_BL[:, None, 1:]
            upto = torch.tril(torch.ones(length, length - 1), diagonal=-1)
            score = torch.einsum("bkj,lj->bkl", same.float(), upto)
            token = self.known.T[torch.arange(length)[None], score.argmax(dim=1)]
        else:
            score = (fits == inputs_BL[:, None]).sum(dim=2)
            token = self.known[score.argmax(dim=1)]
        # Surest at the right end: order must not matter for what is known.
        return Likeliest(token, torch.arange(length).float().expand_as(token) - length)


ROWS = torch.tensor([[1, 2, 3, 4, 5, 6, 7, 8], [8, 7, 6, 5, 4, 3, 2, 1], [9, 9, 1, 1, 2, 2, 3, 3]])


@pytest.mark.parametrize(("decode", "causal"), [(left_to_right, True), (by_confidence, False)])
def test_known_rows_come_back_and_others_do_not(decode, causal) -> None:
    copycat = Copycat(ROWS[:2], causal=causal)
    found = decode(copycat, ROWS, 5, KNOWS_ITS_VOCABULARY)
    assert (found[:, :5] == ROWS[:, :5]).all(), "the beginning is the prompt"
    assert (found[:2] == ROWS[:2]).all()
    assert not (found[2] == ROWS[2]).all()
    assert (found < VOCAB.n_tokens).all()


def test_left_to_right_never_shows_what_is_asked_for() -> None:
    copycat = Copycat(ROWS[:1], causal=True)
    left_to_right(copycat, ROWS[1:2], 5, KNOWS_ITS_VOCABULARY)  # type: ignore[arg-type]
    for place, seen in enumerate(copycat.seen):
        assert (seen[0, 1:6] == ROWS[1, :5]).all()
        assert (seen[0, 6 + place :] == VOCAB.bos_id).all()
        assert seen[0, 0] == VOCAB.bos_id


def test_by_confidence_fills_one_token_a_pass_the_surest_first() -> None:
    copycat = Copycat(ROWS[:1], causal=False)
    by_confidence(copycat, ROWS[:1], 5, KNOWS_ITS_VOCABULARY)  # type: ignore[arg-type]
    masked = [(seen == VOCAB.mask_id)[0].tolist() for seen in copycat.seen]
    left = [False] * 5
    assert masked == [
        [*left, True, True, True],
        [*left, True, True, False],
        [*left, True, False, False],
    ]


def test_fifty_tokens_are_asked_for_or_a_quarter_of_a_window() -> None:
    assert [suffix_tokens(n) for n in (4, 64, 200, 2048)] == [1, 16, 50, 50]


@pytest.mark.training
@pytest.mark.parametrize(
    ("objective", "tokens"),
    [("ar", 76_800), ("mdlm", 153_600), ("block", 153_600)],  # aoar: test_decoding
)
def test_a_model_that_saw_few_windows_often_has_them_by_heart(
    objective: str, tokens: int, tmp_path: Path, corpus: Path
) -> None:
    run = make_run(
        tmp_path,
        corpus,
        f"training.objective={objective}",
        *(["training.block_size=4"] if objective == "block" else []),
        "data.unique_tokens=128",
        f"training.total_tokens={tokens}",
        "training.lr=1e-2",
        "training.log_every=50",
        "evaluation.memorisation=8",
        "evaluation.tasks=[]",
        "model.init_std=0.17",
    )
    assert worker.main(run.path) == worker.FINISHED
    share, held_out = values(run, "memorised_share"), values(run, "memorised_share@held_out")
    assert share[1] == 0
    last = max(share)
    assert share[last] >= 0.75, "four windows, hundreds of times"
    assert held_out[last] <= 0.25
    assert values(run, "suffix_nll")[last] < 0.5 < values(run, "suffix_nll@held_out")[last]
    assert values(run, "memorised_tokens")[last] >= share[last]

    (corpora, rows) = audit_run(run, tmp_path, AuditOptions(windows=8))
    audited = {(row["step"], row["set"], row["source"]): row for row in rows}
    for name, recorded in (("training", share), ("held_out", held_out)):
        checkpoint = audited[last, name, "checkpoint"]
        assert checkpoint["memorised_share"] == recorded[last], "as measured during training"
        assert audited[last, name, "training"]["memorised_share"] == recorded[last]
        assert audited[1, name, "training"]["memorised_share"] == recorded[1]
    assert checkpoint["epoch"] == tokens / 128
    assert corpora[0]["scope"] == "unique"
    assert corpora[0]["unique_tokens"] == 128


def test_larger_budgets_are_asked_for_the_same_windows(tmp_path: Path, corpus: Path) -> None:
    run = make_run(tmp_path, corpus)
    document = run.config_json()
    prepared = PreparedData.open(tmp_path / document["data"]["folder"])
    config = run_config(document)
    found = []
    for unique in (640, 2048):
        data = config.data.model_copy(update={"unique_tokens": unique})
        budget = config.model_copy(update={"data": data})
        found.append(memorisation_windows(budget, prepared, 16))
    np.testing.assert_array_equal(found[0].training_NL, found[1].training_NL)
    np.testing.assert_array_equal(found[0].held_out_NL, found[1].held_out_NL)
    training, held_out = (set(map(tuple, w)) for w in (found[0].training_NL, found[0].held_out_NL))
    assert len(training) == 16
    assert not training & held_out
