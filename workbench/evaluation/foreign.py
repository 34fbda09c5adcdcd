"""`workbench eval hf:NAME`: a checkpoint of Hugging Face, asked what runs are asked."""

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from workbench import stages
from workbench.data import PreparedData
from workbench.data.shard_checks import open_checked
from workbench.errors import InputError
from workbench.evaluation.asking import answers_of, check_draws, pass_tasks
from workbench.evaluation.evaluate import row_of
from workbench.evaluation.opened import EvalOptions, opened_model
from workbench.evaluation.tasks import batch_for
from workbench.recipe import RunConfig, objective_facts
from workbench.recipe.loading import load_recipe_text
from workbench.runs.evaluations import Evaluated
from workbench.training.foreign_files import PREFIX, ModelFiles, find_model
from workbench.training.foreign_model import (
    OBJECTIVES,
    ForeignModel,
    context_of,
    import_transformers,
    load_foreign,
)
from workbench.training.foreign_network import ForeignNetwork

_NO_CORPUS = "none"
_LOGITS_AT_ONCE = 2 * 2**30
"""Bytes of logits in float32 of all forward passes together."""
_RECIPE = """
[study]
name = "evaluated"

[data]
corpus = {corpus}
tokenizer = {tokenizer}
unique_tokens = 1_000_000_000
seq_len = {seq_len}
validation_tokens = 65_536

[model]
size = "0.2M"

[training]
objective = {objective}
total_tokens = 1_000_000_000
batch_size = 1
lr = 1e-3

[evaluation]
points = 1
"""
"""What a recipe would say of a checkpoint. Of it the data and the objective are used."""


@dataclass(frozen=True)
class ForeignRequest:
    """A checkpoint, and what it shall be measured on."""

    name: str
    """`hf:` and a folder, or a repository of the hub, also with `@revision`."""
    objective: str | None
    corpus: str | None = None
    """As data.corpus."""
    data: tuple[str, ...] = ()
    """Keys of `[data]`, as `--set` has them."""
    trust_remote_code: bool = False
    mask_id: int | None = None
    """The id of MASK, where the checkpoint does not say, or in the place of what it says."""


@dataclass(frozen=True)
class MeasuredModel:
    """What was measured of a checkpoint, and what it is."""

    files: ModelFiles
    digests: dict[str, str]
    """SHA-256 of config.json, its files of weights, and the code that was run."""
    model: ForeignModel
    data: dict[str, Any]
    """The keys of `[data]` that were given or decide a number."""
    fingerprint: str | None
    """Of the held-out text, where there is one."""
    answers: list[Evaluated]

    @property
    def n_params(self) -> int:
        return sum(parameter.numel() for parameter in self.model.model.parameters())

    def rows(self, name: str) -> list[dict[str, Any]]:
        """The answers as rows, under the run's id or another name. Its step is not known."""
        objective = self.model.config.training.objective
        return [row_of(name, objective, None, answer) for answer in self.answers]


def evaluate_foreign(
    request: ForeignRequest,
    options: EvalOptions,
    results: Path,
    *,
    device: str = "auto",
    dtype: str = "auto",
) -> MeasuredModel:
    """Ask a checkpoint, and return the answers. Held-out text is prepared in the results folder.

    Args:
        device, dtype: as `load_foreign`.

    Raises:
        InputError: as `find_model` and `load_foreign` say; a task that cannot be made; or there is
            no text for one that needs it.
    """
    if request.objective not in OBJECTIVES:
        given = f" {request.objective}" if request.objective else ""
        raise InputError(
            f"--objective{given}: expected {' or '.join(OBJECTIVES)}, which {request.name} was "
            "trained for; its files do not say."
        )
    if request.mask_id is not None and objective_facts(request.objective).causal:
        raise InputError(
            f"--mask-id {request.mask_id}: a model of --objective {request.objective} sees no "
            "MASK. Leave --mask-id out."
        )
    import_transformers()
    programs = pass_tasks(options)
    stages.doing(f"loading {request.name}")
    files = find_model(request.name, with_code=request.trust_remote_code)
    config = recipe_of(request, files)
    if options.draws_given:
        check_draws({request.name: config.training}, options)
    model = load_foreign(
        files,
        config,
        trust_remote_code=request.trust_remote_code,
        mask_id=request.mask_id,
        device=device,
        dtype=dtype,
    )
    used: list[PreparedData] = []

    def prepared() -> PreparedData:
        if not used:
            used.append(_prepared(request, config, results, model))
        return used[0]

    threads = options.threads or _threads(model)
    opened = opened_model(model, (request.name,), prepared, threads=threads)
    answers = answers_of(opened, options, programs)
    data = config.data.model_dump(mode="json", exclude_defaults=True)
    del data["unique_tokens"], data["tokenizer"]  # of which nothing is known, or the name says it
    if not used:
        data = {"seq_len": config.data.seq_len}
    fingerprint = used[0].fingerprint if used else None
    stages.doing(f"digests of {request.name}")
    digests = files.digests(with_code=request.trust_remote_code)
    return MeasuredModel(files, digests, model, data, fingerprint, answers)


def _threads(model: ForeignModel) -> int | None:
    """Forward passes at once: as many as cores (None), or fewer where each makes all logits."""
    network = model.model
    if isinstance(network, ForeignNetwork) and network.in_parts:
        return None
    size = 4 * model.vocab.size * batch_for(model.context) * model.context
    return max(1, min(len(os.sched_getaffinity(0)), _LOGITS_AT_ONCE // size))


def recipe_of(request: ForeignRequest, files: ModelFiles) -> RunConfig:
    """The text that the checkpoint is measured on, and its objective, as a recipe has them."""
    for one in request.data:
        if not one.startswith("data."):
            raise InputError(
                f"--set {one}: of a model that is there, keys of [data] alone can be set, such as "
                "data.seq_len=512."
            )
        if one.startswith(("data.tokenizer", "data.mixture", "data.corpus")):
            raise InputError(
                f"--set {one}: the tokenizer is the model's own, and the text is --corpus."
            )
    ours = files.config.get("workbench")
    known = ours.get("seq_len") if isinstance(ours, dict) else None
    length = context_of(files, known if isinstance(known, int) else None)
    values = (request.corpus or _NO_CORPUS, str(files.folder), length, request.objective)
    corpus, tokenizer, seq_len, objective = (json.dumps(v, ensure_ascii=False) for v in values)
    sets = "".join(f"\n# --set {one}" for one in request.data)
    text = _RECIPE.format(corpus=corpus, tokenizer=tokenizer, seq_len=seq_len, objective=objective)
    (config,) = load_recipe_text(text + sets, request.name).runs
    context_of(files, config.data.seq_len)  # may have been set beyond what it takes
    return config


def _prepared(
    request: ForeignRequest, config: RunConfig, results: Path, model: ForeignModel
) -> PreparedData:
    """The held-out text, whose documents end as the model knows it."""
    from workbench.data.preparation import prepare

    if request.corpus is None:
        raise InputError(
            f"{PREFIX}{request.name.removeprefix(PREFIX)}: val_loss and cloze are measured on "
            "held-out text. Give it with --corpus, as data.corpus names it."
        )
    prepared = open_checked(prepare(config.data, results).folder)
    return replace(prepared, document_end=model.tokenizer.vocabulary.eod_id)
