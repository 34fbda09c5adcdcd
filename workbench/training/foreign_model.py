"""A checkpoint in the format of Hugging Face in the place of a run's model, to be measured alike.

transformers makes the network. What it can do by itself runs no code of the checkpoint; a modelling
file that lies beside the weights is imported only where the user trusts it.

Shape suffixes: B sequences, L tokens a sequence.
"""

import copy
from dataclasses import asdict, dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torchtitan.config import TORCH_DTYPE_MAP

from workbench.data.tokenizers import Tokenizer, load_tokenizer
from workbench.data.vocabulary import Vocabulary
from workbench.errors import InputError
from workbench.recipe import RunConfig
from workbench.recipe.objectives import BASELINE, CHALLENGER
from workbench.training.foreign_files import LENGTHS, PREFIX, ModelFiles
from workbench.training.foreign_network import ForeignNetwork, check_finite, input_ids, probe
from workbench.training.objectives.ar import Autoregressive
from workbench.training.objectives.base import Corrupted, Objective, Vocab
from workbench.training.trained_model import RunModel, compute_dtype, place_of

OBJECTIVES = (BASELINE, CHALLENGER)
"""Whose checkpoints can be measured: what goes in and what comes out is known of these."""
_CLASSES = {
    BASELINE: ("AutoModelForCausalLM",),
    CHALLENGER: ("AutoModelForMaskedLM", "AutoModelForCausalLM", "AutoModel"),
}
LONGEST = 2048
"""Tokens of context where none are asked for, of models that take more."""


class WithoutBos(Autoregressive):
    """For models that were not trained with a token before every text: before an answer without
    context stands `vocab.bos_id`, which is then the model's token between documents, and before
    other contexts nothing. So scores the `hf` model of lm-evaluation-harness."""

    def answer_inputs(
        self, tokens_BL: Tensor, answer_start: int, question_B: Tensor, draw: int, n_draws: int
    ) -> Corrupted:
        if answer_start == 0:
            return super().answer_inputs(tokens_BL, answer_start, question_B, draw, n_draws)
        # Position i predicts token i + 1; what the last one predicts counts nothing.
        weights_BL = torch.zeros_like(tokens_BL, dtype=torch.float32)
        weights_BL[:, answer_start - 1 : -1] = 1.0
        return Corrupted(tokens_BL, tokens_BL.roll(-1, 1), weights_BL, first=answer_start - 1)


@dataclass(frozen=True)
class ForeignModel(RunModel):
    """A loaded checkpoint. Of its `config` the data and the objective are meant; it says nothing of
    the network and of training."""

    always_bos: bool = True
    """Whether BOS comes before every text."""

    def reading(self) -> dict[str, Any]:
        """What decides which ids the model sees for a text: they are part of what its numbers are
        numbers of, and not all of it is in the files of weights."""
        ids = asdict(self.tokenizer.vocabulary)
        if self.config.training.objective == BASELINE:
            del ids["mask_id"]  # which it never sees
        return {"tokenizer": self.tokenizer.identity, "bos_first": self.always_bos, **ids}

    def objective(self) -> Objective:
        if self.config.training.objective == BASELINE and not self.always_bos:
            return WithoutBos.from_config(self.config.training, self.vocab)
        return super().objective()


def import_transformers() -> Any:
    """The library.

    Raises:
        InputError: it is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise InputError(
            f"{PREFIX}...: models of Hugging Face need transformers ({error}): "
            "pip install 'workbench[hf]'."
        ) from None
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    return transformers


def context_of(files: ModelFiles, asked: int | None) -> int:
    """Tokens that a model is given at most: as many as were asked for, or as it takes.

    Raises:
        InputError: it takes fewer than were asked for.
    """
    text = files.config.get("text_config")
    tables = [files.config, *([text] if isinstance(text, dict) else [])]
    known = [one[name] for one in tables for name in LENGTHS if one.get(name)]
    if asked is None:
        return min([LONGEST, *known[:1]])
    if known and asked > known[0]:
        raise InputError(
            f"data.seq_len = {asked}: {PREFIX}{files.name} takes {known[0]} tokens. Lower it."
        )
    return asked


def load_foreign(
    files: ModelFiles,
    config: RunConfig,
    *,
    trust_remote_code: bool,
    mask_id: int | None = None,
    device: str = "auto",
    dtype: str = "auto",
) -> ForeignModel:
    """Load a checkpoint.

    Args:
        config: its objective, and the data that it shall be measured on.
        trust_remote_code: import its own modelling file where it has one.
        mask_id: the id of MASK in the place of that of the configuration and the tokenizer.
        device, dtype: as `load_run_model`; the checkpoint's type is in the place of training's.

    Raises:
        InputError: transformers is not installed, or cannot load it; its code is not trusted;
            weights are missing; or it is no model of this objective.
    """
    transformers = import_transformers()
    objective, where = config.training.objective, f"{PREFIX}{files.name}"
    place = place_of(device)
    name, trusted = _class_of(transformers, files, objective, trust_remote_code)
    trained_in = str(files.config.get("dtype") or files.config.get("torch_dtype") or "float32")
    trained_in = trained_in if trained_in in TORCH_DTYPE_MAP else "float32"
    computed = compute_dtype(dtype, place, trained_in)
    try:
        network, report = getattr(transformers, name).from_pretrained(
            files.folder,
            dtype=computed,
            use_safetensors=True,
            trust_remote_code=trusted,
            local_files_only=True,
            output_loading_info=True,
        )
        tokens = transformers.AutoTokenizer.from_pretrained(
            files.folder, trust_remote_code=trust_remote_code, local_files_only=True
        )
    except Exception as error:  # of its code, or of transformers
        raise InputError(
            f"{where}: transformers {transformers.__version__} cannot load it "
            f"({type(error).__name__}: {str(error).strip().partition(chr(10))[0]})."
        ) from None
    if missing := sorted(report["missing_keys"]):
        raise InputError(
            f"{where}: {name} needs weights that it does not have, and would measure random ones: "
            f"{', '.join(missing[:3])}. Is it a language model with its output layer?"
        )
    if unused := sorted(report["unexpected_keys"]):
        raise InputError(
            f"{where}: {len(unused)} of its weights have no place in the model that its "
            f"config.json describes: {', '.join(unused[:3])}. What is measured would be another "
            "model than was trained."
        )
    check_finite(network, where)
    network.config.use_cache = False
    model = ForeignNetwork(network.eval().requires_grad_(False)).to(place)
    tokenizer, always_bos = _tokenizer(files, tokens, model, objective, mask_id)
    ids = tokenizer.vocabulary
    return ForeignModel(
        model=model,
        vocab=Vocab(ids.n_tokens, ids.size, ids.mask_id, ids.bos_id),
        tokenizer=tokenizer,
        config=config,
        step=_step(files),
        trained_in=trained_in,
        always_bos=always_bos,
    )


def _step(files: ModelFiles) -> int:
    """The step of an export of ours, which is then seen through the noise of that step; else 0."""
    ours = files.config.get("workbench")
    step = ours.get("step") if isinstance(ours, dict) else None
    return step if isinstance(step, int) else 0


def _class_of(
    transformers: Any, files: ModelFiles, objective: str, trust_remote_code: bool
) -> tuple[str, bool]:
    """(the class of transformers that loads it, whether that runs its own code)."""
    classes, kind = _CLASSES[objective], files.config.get("model_type")
    code = files.code(classes)
    if code is not None and trust_remote_code:
        return code[0], True
    known = transformers.CONFIG_MAPPING
    # AutoModel has no output layer, but for code of its own.
    for name in (name for name in classes if name != "AutoModel"):
        mapping = getattr(transformers, name)._model_mapping
        if kind in known and known[kind] in mapping:
            return name, False
    if code is not None:
        raise InputError(
            f"{PREFIX}{files.name}: its network is code of its own, {code[1]} beside its weights, "
            "which is not run unless you trust it: read the file, and give --trust-remote-code."
        )
    raise InputError(
        f"{PREFIX}{files.name}: transformers {transformers.__version__} has no {classes[0]} of "
        f'model_type "{kind}", and there is no modelling code beside the weights (auto_map in '
        "config.json)."
    )


def _tokenizer(
    files: ModelFiles, theirs: Any, model: ForeignNetwork, objective: str, mask_id: int | None
) -> tuple[Tokenizer, bool]:
    """The tokenizer with the model's special ids, and whether BOS comes before every text."""
    where, ours = f"{PREFIX}{files.name}", files.config.get("workbench")
    tokenizer = copy.copy(load_tokenizer(str(files.folder)))
    size, rows = probe(model, where, objective), input_ids(model, where)
    if isinstance(ours, dict) and "vocabulary" in ours:  # an export of ours
        tokenizer.vocabulary = _exported_ids(ours["vocabulary"], min(size, rows), where)
        if mask_id not in (None, tokenizer.vocabulary.mask_id):
            raise InputError(
                f"--mask-id {mask_id}: {where} is an export of the workbench, whose MASK is id "
                f"{tokenizer.vocabulary.mask_id}, as its config.json says. Leave --mask-id out."
            )
        return tokenizer, True
    bos, eos = theirs.bos_token_id, theirs.eos_token_id
    if bos is None and eos is None:
        bos, eos = (_of_config(files.config, name) for name in ("bos", "eos"))
    first, last = eos if bos is None else bos, bos if eos is None else eos
    if first is None or last is None:
        raise InputError(f"{where}: its tokenizer has neither eos_token nor bos_token.")
    known = (mask_id, _of_config(files.config, "mask"), theirs.mask_token_id)
    mask = next((one for one in known if one is not None), None)
    if objective == CHALLENGER:
        if mask is None:
            raise InputError(
                f"{where}: neither its config.json nor its tokenizer has mask_token_id. Give "
                "--mask-id."
            )
        if not 0 <= mask < rows:
            raise InputError(f"{where}: MASK is id {mask}, and its embedding has {rows}.")
    if theirs.vocab_size > rows:
        raise InputError(
            f"{where}: its tokenizer has {theirs.vocab_size} ids, and its embedding {rows}."
        )
    tokenizer.vocabulary = Vocabulary(
        n_tokens=size,
        size=size,
        mask_id=-1 if mask is None else mask,
        bos_id=first,
        eod_id=last,
    )
    # Some tokenizers put BOS before a text: then their models have seen it there.
    always = bos is not None and list(theirs("a")["input_ids"][:1]) == [bos]
    return tokenizer, always


def _exported_ids(given: Any, most: int, where: str) -> Vocabulary:
    names = {field.name for field in fields(Vocabulary)}
    if not isinstance(given, dict) or given.keys() != names:
        raise InputError(f"{where}: config.json: workbench.vocabulary is not that of an export.")
    for name, value in given.items():
        if type(value) is not int or not 0 <= value < most + (name in ("n_tokens", "size")):
            raise InputError(
                f"{where}: config.json: workbench.vocabulary.{name} is {value!r:.40}, and the "
                f"model has {most} ids."
            )
    return Vocabulary(**given)


def _of_config(config: dict[str, Any], name: str) -> int | None:
    """A special id, of several the first."""
    found = config.get(f"{name}_token_id")
    found = found[0] if isinstance(found, list) and found else found
    return found if isinstance(found, int) else None
