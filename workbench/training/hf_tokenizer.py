"""A run's tokenizer as transformers reads it: tokenizer.json, and the names of the special ids."""

import json
from pathlib import Path
from typing import Any

from workbench.data.tokenizers import Tokenizer
from workbench.data.vocabulary import BOS, END_OF_DOCUMENT, MASK


def save_tokenizer(tokenizer: Tokenizer, folder: Path, *, context: int, bos_first: bool) -> bool:
    """Write a tokenizer's files into a folder; returns whether transformers can load them.

    It can where there is a tokenizer.json. SentencePiece models and ranks of tiktoken are written
    as they are, for their own libraries.

    Args:
        context: tokens that the model was trained on.
        bos_first: whether `tokenizer(text)` shall put BOS before the text, as the model wants it.
            Without its special tokens a text has the ids that the run was trained on, always.
    """
    tokenizer.save(folder)
    path = folder / "tokenizer.json"
    if not path.exists():
        return False
    names = _special_names(tokenizer, path)
    if bos_first:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
        bos = {"SpecialToken": {"id": names[BOS], "type_id": 0}}
        ids = [tokenizer.vocabulary.bos_id]
        template = {
            "type": "TemplateProcessing",
            "single": [bos, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [bos, *({"Sequence": {"id": one, "type_id": 0}} for one in "AB")],
            "special_tokens": {names[BOS]: {"id": names[BOS], "ids": ids, "tokens": [names[BOS]]}},
        }
        before = document.get("post_processor")
        if before is not None and before.get("type") == "ByteLevel":  # offsets, and no token
            template = {"type": "Sequence", "processors": [before, template]}
        document["post_processor"] = template
        path.write_text(json.dumps(document, ensure_ascii=False, indent=2))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "clean_up_tokenization_spaces": False,
        # The text of a special token is text, as in training.
        "split_special_tokens": True,
        "added_tokens_decoder": _added(tokenizer, names),
        "bos_token": names[BOS],
        "eos_token": names[END_OF_DOCUMENT],
        "pad_token": names[END_OF_DOCUMENT],
        "mask_token": names[MASK],
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return True


def _special_names(tokenizer: Tokenizer, path: Path) -> dict[str, str]:
    """What the ids that end documents, mask and begin are called: as the file calls them, or by
    names that it does not have."""
    from tokenizers import Tokenizer as Library

    library = Library.from_str(path.read_text(encoding="utf-8-sig"))
    names = {}
    for usual, number in _ids(tokenizer).items():
        name = library.id_to_token(number)
        if name is None:
            name = usual
            while library.token_to_id(name) is not None:
                name = f"<{name}>"
        names[usual] = name
    return names


def _ids(tokenizer: Tokenizer) -> dict[str, int]:
    ids = tokenizer.vocabulary
    return {END_OF_DOCUMENT: ids.eod_id, MASK: ids.mask_id, BOS: ids.bos_id}


def _added(tokenizer: Tokenizer, names: dict[str, str]) -> dict[str, Any]:
    plain = dict.fromkeys(("lstrip", "rstrip", "normalized", "single_word"), False)
    return {
        str(number): {"content": names[usual], "special": True, **plain}
        for usual, number in sorted(_ids(tokenizer).items(), key=lambda one: one[1])
    }
