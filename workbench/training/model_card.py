"""README.md of an exported model: where it comes from, how to load it, to score and to sample."""

from contextlib import suppress
from typing import Any

from workbench.errors import InputError
from workbench.messages import pretty
from workbench.recipe import objective_facts
from workbench.runs.folder import RunFolder
from workbench.runs.studies import studies_of
from workbench.store.read_records import deduplicated, read_records
from workbench.training.hf_format import MODELLING_FILE
from workbench.training.trained_model import RunModel
from workbench.version import __version__

_LOAD = """\
import torch
from transformers import {auto}{tokenizer_import}

folder = "."  # this one
model = {auto}.from_pretrained(folder{trust}).eval()
{tokenizer}n_tokens, mask_id, bos_id = {n_tokens}, {mask_id}, {bos_id}
"""

_AR = '''\
@torch.no_grad()
def score(ids):
    """-log p of the tokens [L], in nats: exact."""
    seen = torch.cat([torch.tensor([bos_id]), ids[:-1]])
    logits = model(seen[None]).logits[0, :, :n_tokens].float()
    return torch.nn.functional.cross_entropy(logits, ids, reduction="sum")


@torch.no_grad()
def sample(prompt, new):
    """The tokens [P] and `new` more. `model.generate`, given BOS too, is faster where it is."""
    seen = torch.cat([torch.tensor([bos_id]), prompt])
    for _ in range(new):
        p = model(seen[None]).logits[0, -1, :n_tokens].float().softmax(-1)
        seen = torch.cat([seen, torch.multinomial(p, 1)])
    return seen[1:]
'''
_MDLM = '''\
@torch.no_grad()
def log_p(ids, place):
    """Log-probabilities of the tokens at some places, given tokens [L] of which some are MASK."""
    return model(ids[None]).logits[0, place, :n_tokens].float().log_softmax(-1)


def score(ids, draws=128):
    """An estimate of an upper bound of -log p of the tokens [L], in nats."""
    total = 0.0
    for _ in range(draws):
        masked = torch.randperm(len(ids))[: int(torch.randint(len(ids), ())) + 1]
        seen = ids.index_fill(0, masked, mask_id)
        nll = -log_p(seen, masked).gather(1, ids[masked][:, None]).sum()
        total += nll * len(ids) / len(masked) / draws
    return total


def sample(prompt, new):
    """The tokens [P] and `new` more, in a random order."""
    ids = torch.cat([prompt, torch.full((new,), mask_id)])
    for place in len(prompt) + torch.randperm(new):
        ids[place] = torch.multinomial(log_p(ids, place).exp(), 1)
    return ids
'''
_BLOCK = '''\
import sys

size = {block_size}  # tokens a block
blocks = sys.modules[type(model).__module__].blocks


@torch.no_grad()
def log_p(noisy, clean, place):
    """Log-probabilities at some places, given MASK in their block and the blocks before it."""
    logits = model(**blocks(noisy[None], clean[None], size)).logits
    return logits[0, place, :n_tokens].float().log_softmax(-1)


def score(ids, draws=128):
    """An estimate of an upper bound of -log p of the tokens [L], in nats."""
    total = 0.0
    for _ in range(draws):
        noisy, weight = ids.clone(), torch.zeros(len(ids))
        for block in torch.arange(len(ids)).split(size):
            masked = block[torch.randperm(len(block))[: int(torch.randint(len(block), ())) + 1]]
            noisy[masked], weight[masked] = mask_id, len(block) / len(masked)
        nll = -log_p(noisy, ids, torch.arange(len(ids))).gather(1, ids[:, None])[:, 0]
        total += (nll * weight).sum() / draws
    return total


def sample(prompt, new):
    """The tokens [P] and `new` more, block after block, each in a random order."""
    ids = torch.cat([prompt, torch.full((new,), mask_id)])
    places = torch.arange(len(prompt), len(ids))
    for block in range(len(ids) // size + 1):
        own = places[places // size == block]
        for place in own[torch.randperm(len(own))]:
            ids[place] = torch.multinomial(log_p(ids, ids, place).exp(), 1)
    return ids
'''
_AOAR = '''\
import sys

in_order = sys.modules[type(model).__module__].in_order


@torch.no_grad()
def log_p(ids, rank, place):
    """Log-probabilities at some places, given the tokens whose rank in the order is lower."""
    logits = model(**in_order(ids[None], rank[None], mask_id)).logits
    return logits[0, place, :n_tokens].float().log_softmax(-1)


def score(ids, draws=16):
    """The mean over random orders of -log p of the tokens [L], in nats: each is exact."""
    every = torch.arange(len(ids))
    orders = [log_p(ids, torch.randperm(len(ids)), every) for _ in range(draws)]
    return -sum(one.gather(1, ids[:, None]).sum() for one in orders) / draws


def sample(prompt, new):
    """The tokens [P] and `new` more, from left to right."""
    ids = torch.cat([prompt, torch.full((new,), mask_id)])
    for place in range(len(prompt), len(ids)):
        ids[place] = torch.multinomial(log_p(ids, torch.arange(len(ids)), place).exp(), 1)
    return ids
'''
_CODE = {
    "left-to-right": _AR,
    "by-confidence": _MDLM,
    "block-by-block": _BLOCK,
    "surest-order": _AOAR,
}
"""By the decoder of an objective (`recipe.objectives`)."""


def model_card(
    run: RunFolder, loaded: RunModel, document: dict[str, Any], *, has_tokenizer: bool
) -> str:
    """The card, in Markdown.

    Args:
        document: the export's config.json.
        has_tokenizer: whether transformers can load the tokenizer.
    """
    config, objective = loaded.config, loaded.config.training.objective
    facts, ids = objective_facts(objective), loaded.tokenizer.vocabulary
    own, causal = "auto_map" in document, facts.causal and facts.streams == 1
    auto = "AutoModelForCausalLM" if causal else "AutoModelForMaskedLM"
    trust = ", trust_remote_code=True" if own else ""
    tokenizer = f"tokenizer = AutoTokenizer.from_pretrained(folder{trust})\n"
    load = _LOAD.format(
        auto=auto, tokenizer_import=", AutoTokenizer" if has_tokenizer else "",
        trust=trust, tokenizer=tokenizer if has_tokenizer else "",
        n_tokens=ids.n_tokens, mask_id=ids.mask_id, bos_id=ids.bos_id,
    )  # fmt: skip
    code = _CODE.get(facts.decoder or "", "").replace(
        "{block_size}", str(config.training.block_size)
    )
    parts = [
        _head(facts.display_name, causal),
        _origin(run, loaded),
        _numbers(run, loaded.step),
        "## Loading\n\n" + (_OWN if own else ""),
        f"```python\n{load}```\n",
        "" if has_tokenizer else _NO_TOKENIZER,
        _VOCABULARY.format(ids=ids, seq_len=config.data.seq_len),
        "## Scoring and sampling\n" if code else _OTHER.format(objective=objective),
        f"```python\n{code}```\n" if code else "",
    ]
    return "\n".join(part for part in parts if part)


_OWN = (
    f"transformers has no such network: `{MODELLING_FILE}`, beside this file, computes it. "
    "`trust_remote_code=True` runs that file, so read it before.\n"
)
_NO_TOKENIZER = (
    "The tokenizer's file is for its own library (SentencePiece, tiktoken); transformers does not "
    "load it.\n"
)
_VOCABULARY = """\
## Vocabulary

Ids below {ids.n_tokens} are tokens; {ids.eod_id} ends a document. {ids.mask_id} is MASK,
{ids.bos_id} is BOS, and the rest up to {ids.size} is padding. These are never predicted: the
softmax is over the first {ids.n_tokens} logits. The model was trained on windows of {seq_len}
tokens.
"""
_OTHER = """\
## Scoring and sampling

As the objective `{objective}` of the workbench says: position i of the logits is of token i.
"""


def _head(display_name: str, causal: bool) -> str:
    kind = "text-generation" if causal else "fill-mask"
    return (
        f"---\nlibrary_name: transformers\npipeline_tag: {kind}\n---\n\n"
        f"# A language model of {display_name}, trained by the workbench\n"
    )


def _origin(run: RunFolder, loaded: RunModel) -> str:
    document, config = run.config_json(), loaded.config
    try:
        origin = run.provenance_json()
    except InputError:
        origin = {}
    studies = []
    with suppress(InputError):  # some study's file is damaged
        studies = [name for name, ids in studies_of(run.results).items() if run.run_id in ids]
    tokens, unique = loaded.step * config.tokens_per_step, config.data.unique_tokens
    git = origin.get("git") or {}
    rows = {
        "objective": f"`{config.training.objective}`",
        "parameters": f"{config.model.shape.n_params:,}",
        "run": f"`{run.run_id}`, step {loaded.step:,} of {config.steps:,}",
        "studies": ", ".join(studies) or None,
        "recipe (SHA-256)": origin.get("recipe_sha256"),
        "trained on": f"{tokens:,} tokens, {tokens / unique:.3g} epochs of {unique:,} unique ones",
        "corpus": f"`{config.data.corpus}`",
        "data (fingerprint)": document["data"]["fingerprint"],
        "tokenizer": f"`{config.data.tokenizer}`",
        "seed": config.training.seed,
        "workbench": " ".join(filter(None, (__version__, git.get("revision")))),
    }
    table = "".join(f"| {name} | {value} |\n" for name, value in rows.items() if value is not None)
    return (
        f"| | |\n|---|---|\n{table}\n`config.json` has the run's whole configuration under "
        "`workbench`.\n"
    )


def _numbers(run: RunFolder, step: int) -> str:
    """What was measured at this step, with how it was estimated."""
    paths = [path for path in (run.records_path, run.evaluations_path) if path.exists()]
    rows = [
        row
        for path in paths
        for row in deduplicated(read_records(path).frame).filter(step=step).to_dicts()
        if row["estimator"] is not None and row["stderr"] is not None
    ]
    if not rows:
        return ""
    names = ("metric", "value", "stderr", "estimator", "draws", "n")
    lines = [f"| {' | '.join(pretty(row[name]) for name in names)} |\n" for row in rows]
    return (
        "## Measured\n\nLosses are in nats a token, on held-out text. An estimator that begins "
        "with `nelbo` is of an upper bound; draws are of masks or orders.\n\n"
        "| metric | value | standard error | estimator | draws | n |\n|---|---|---|---|---|---|\n"
        + "".join(lines)
    )
