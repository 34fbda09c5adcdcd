"""`workbench audit`: of a recipe's corpora, and of the training text that a run memorised."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from workbench import stages
from workbench.data import PreparedData
from workbench.data.ngrams import Texts
from workbench.data.overlap_audit import (
    THRESHOLD,
    Blocks,
    SetAudit,
    audit_sets,
    audit_texts,
    default_ngram,
    longest_common,
    training_blocks,
)
from workbench.data.shard_checks import open_checked
from workbench.errors import InputError
from workbench.evaluation.cloze import make_questions
from workbench.evaluation.memorisation import (
    HELD_OUT,
    measure,
    memorisation_windows,
    suffix_tokens,
)
from workbench.planning.plan import plan_study
from workbench.recipe import Recipe, RunConfig, run_config
from workbench.runs.checkpoints import all_checkpoints
from workbench.runs.folder import NO_MODEL, RunFolder
from workbench.store.read_records import deduplicated, read_records
from workbench.training.trained_model import as_trainer, load_run_model


@dataclass(frozen=True)
class AuditOptions:
    """What to look for; where None, a value that suits the tokenizer and the windows."""

    scope: str | None = None
    """pool: all training text; unique: the unique windows."""
    ngram: int | None = None
    threshold: float = THRESHOLD
    windows: int = 256
    suffix: int | None = None


def audit_recipe(recipe: Recipe, results: Path, options: AuditOptions) -> list[dict[str, Any]]:
    """One document a corpus of the recipe, or with scope "unique" a unique budget.

    Corpora that are not prepared are prepared.

    Raises:
        InputError: a corpus cannot be read, or an option does not fit the windows.
    """
    from workbench.planning.prepare import prepare_study

    scope = options.scope or "pool"
    audits: dict[Any, dict[str, Any]] = {}
    prepare_study(recipe, results)
    for run in plan_study(recipe, results).runs:
        assert run.prepared is not None
        not_decisive = {} if scope == "unique" else {"unique_tokens": 1, "seed": 0}
        key = (run.config.data.model_copy(update=not_decisive), run.config.evaluation.tasks)
        if key not in audits:
            audits[key] = _audit_corpus(
                run.config, run.prepared, run.validation_extra, scope, options
            )
    return list(audits.values())


def audit_run(
    run: RunFolder, results: Path, options: AuditOptions
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Audit the corpus as this run saw it, and what each of the run's checkpoints memorised.

    Raises:
        InputError: the run is imported, has no checkpoint, or its data is gone or damaged.
    """
    document = run.config_json()
    if document.get("imported") is True:
        raise InputError(f"run {run.run_id}: {NO_MODEL}.")
    config = run_config(document)
    prepared = open_checked(results / document["data"]["folder"])
    extra = {
        name: open_checked(results / validation_set["folder"])
        for name, validation_set in document["data"].get("validation_extra", {}).items()
    }
    corpus = _audit_corpus(config, prepared, extra, options.scope or "unique", options)
    return [corpus], _memorised(run, config, prepared, options)


def _audit_corpus(
    config: RunConfig,
    prepared: PreparedData,
    extra: dict[str, PreparedData],
    scope: str,
    options: AuditOptions,
) -> dict[str, Any]:
    data = config.data
    n = options.ngram or default_ngram(data)
    if n > data.seq_len:
        raise InputError(f"--ngram {n}: windows have {data.seq_len} tokens. Give fewer.")
    blocks = training_blocks(prepared, data, scope)
    sets = audit_sets(prepared, data, extra, blocks, n=n, threshold=options.threshold)
    if "cloze" in config.evaluation.tasks:
        sets += _audit_questions(config, prepared, blocks, n, options.threshold)
    manifest = prepared.manifest
    return {
        "corpus": data.corpus,
        "quality": data.quality,
        "fingerprint": prepared.fingerprint,
        "scope": scope,
        "unique_tokens": data.unique_tokens if scope == "unique" else None,
        "documents": manifest["documents"],
        "exact_duplicates_removed": manifest["duplicates_removed"],
        "held_out_documents": manifest["held_out_documents"],
        "threshold": options.threshold,
        "sets": [audited_set.document() for audited_set in sets],
    }


def _audit_questions(
    config: RunConfig, prepared: PreparedData, blocks: Blocks, n: int, threshold: float
) -> list[SetAudit]:
    """Cloze questions with their true endings, and those endings alone, whole."""
    count = config.evaluation.cloze_questions
    assert count is not None
    questions = make_questions(prepared, seq_len=config.data.seq_len, count=count)
    true_QL = questions.tokens_QOL[:, 0]
    ending_QA = np.ascontiguousarray(true_QL[:, questions.answer_start :])
    audits = []
    for name, tokens, width in (
        ("cloze questions", true_QL, n),
        ("cloze answers", ending_QA, ending_QA.shape[1]),
    ):
        texts = Texts.of_rows(np.ascontiguousarray(tokens))
        audited = audit_texts(name, texts, blocks, config.data, width, threshold)
        longest = longest_common(texts, blocks) / tokens.shape[1]
        audits.append(replace(audited, longest=float(longest.mean())))
    return audits


def _memorised(
    run: RunFolder, config: RunConfig, prepared: PreparedData, options: AuditOptions
) -> list[dict[str, Any]]:
    """Rows of what was measured during training, then of every checkpoint on disk."""
    suffix = options.suffix or suffix_tokens(config.data.seq_len)
    if suffix >= config.data.seq_len:
        raise InputError(f"--suffix {suffix}: windows have {config.data.seq_len} tokens.")
    steps = list(all_checkpoints(run.checkpoint_dir))
    if not steps:
        raise InputError(
            f"run {run.run_id} has no checkpoint ({run.status().state}). `workbench run` trains it."
        )
    windows = memorisation_windows(config, prepared, options.windows)
    rows = _recorded(run)
    for step in steps:
        stages.doing(f"asking {run.run_id} after step {step}")
        trainer = as_trainer(load_run_model(run, step=step, dtype="auto"))
        for name, windows_NL in (
            ("training", windows.training_NL),
            (HELD_OUT, windows.held_out_NL),
        ):
            memorised = measure(trainer, windows_NL, suffix=suffix, batch=config.scored_at_once)
            tokens = step * config.tokens_per_step
            rows.append(
                {
                    "step": step,
                    "epoch": tokens / config.data.unique_tokens,
                    "set": name,
                    "n": len(windows_NL),
                    "memorised_share": memorised.share.value if memorised.share else None,
                    "stderr": memorised.share.stderr if memorised.share else None,
                    "memorised_tokens": memorised.tokens.value if memorised.tokens else None,
                    "suffix_nll": memorised.nll.value,
                    "suffix": suffix,
                    "decoding": memorised.decoding,
                    "estimator": trainer.objective.validation_estimator,
                    "source": "checkpoint",
                }
            )
    return rows


def _recorded(run: RunFolder) -> list[dict[str, Any]]:
    """What `evaluation.memorisation` measured while the run was trained."""
    if not run.records_path.exists():
        return []
    frame = deduplicated(read_records(run.records_path).frame)
    rows = []
    for name, ending in (("training", ""), (HELD_OUT, f"@{HELD_OUT}")):
        values = {
            metric: {row["step"]: row for row in frame.filter(metric=metric + ending).to_dicts()}
            for metric in ("memorised_share", "memorised_tokens", "suffix_nll")
        }
        for step, nll in values["suffix_nll"].items():
            share = values["memorised_share"].get(step, {})
            greedy = str(share.get("estimator") or "").split("/")
            rows.append(
                {
                    "step": step,
                    "epoch": nll["epoch"],
                    "set": name,
                    "n": nll["n"],
                    "memorised_share": share.get("value"),
                    "stderr": share.get("stderr"),
                    "memorised_tokens": values["memorised_tokens"].get(step, {}).get("value"),
                    "suffix_nll": nll["value"],
                    "suffix": int(nll["estimator"].rpartition("=")[2]),
                    "decoding": greedy[1] if len(greedy) > 1 else None,
                    "estimator": nll["estimator"].rpartition("/")[0],
                    "source": "training",
                }
            )
    return sorted(rows, key=lambda row: row["step"])
