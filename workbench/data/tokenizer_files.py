"""Where the file of `data.tokenizer` is, and of which format."""

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Literal

from workbench.errors import InputError

Format = Literal["json", "sentencepiece", "tiktoken"]

CONVERT = (
    'To convert one that transformers can load: python -c "from transformers import AutoTokenizer; '
    "AutoTokenizer.from_pretrained('FOLDER').save_pretrained('OUT')\" writes OUT/tokenizer.json."
)
_NAMES = ("tokenizer.json", "tokenizer.model")  # as model folders and repositories call them
_RANK = re.compile(rb"[A-Za-z0-9+/]+={0,2} +\d+\s*(\n|$)")


class MissingTokenizer(InputError):
    """The tokenizer's file is not here: a plan can do without it."""


def tokenizer_file(spec: str) -> Path:
    """The file that `data.tokenizer` names: itself, the one of a model folder, or the one of a
    repository on the hub (`hf:org/name`, `hf:org/name@revision`), from the local cache where it is.

    Raises:
        MissingTokenizer: no such file or folder, or the hub cannot be reached.
        InputError: a folder or repository without one that can be read.
    """
    if spec.startswith("hf:"):
        repository, _, revision = spec.removeprefix("hf:").partition("@")
        found = _of_hub(repository, revision or None)
        if isinstance(found, InputError):
            raise found
        return found
    path = Path(spec).expanduser()
    if path.is_dir():
        return _of_folder(path)
    if not path.exists():
        raise MissingTokenizer(
            f'data.tokenizer = "{spec}": no such file. Give a tokenizer.json (`workbench tokenizer '
            "train` makes one), a model's folder with one, or hf:org/name."
        )
    return path


def _of_folder(folder: Path) -> Path:
    for name in _NAMES:
        if (folder / name).is_file():
            return folder / name
    names = sorted(path.name for path in folder.iterdir())
    shown = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "") or "nothing"
    raise InputError(
        f"tokenizer {folder}: a folder without {' or '.join(_NAMES)}; it has {shown}. {CONVERT}"
    )


@lru_cache(maxsize=8)
def _of_hub(repository: str, revision: str | None) -> Path | InputError:
    """An error is returned, so that the hub is asked once: it takes half a minute to be away."""
    import huggingface_hub as hub
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HFValidationError,
        LocalEntryNotFoundError,
    )

    spec = f"hf:{repository}" + (f"@{revision}" if revision else "")
    try:
        for name in _NAMES:
            cached = hub.try_to_load_from_cache(repository, name, revision=revision)
            if isinstance(cached, str):
                return Path(cached)
        for name in _NAMES:
            try:
                return Path(hub.hf_hub_download(repository, name, revision=revision))
            except LocalEntryNotFoundError:
                raise
            except EntryNotFoundError:
                continue
    except HFValidationError:
        return InputError(f'data.tokenizer = "{spec}": expected hf:name or hf:org/name.')
    except OSError as error:
        return MissingTokenizer(
            f'data.tokenizer = "{spec}": not in the local cache of Hugging Face, and the hub does '
            f"not give it ({_first_line(error)}). Where there is a network, `hf download "
            f"{repository} tokenizer.json` brings it into the cache (HF_HOME); or give the path of "
            "the file."
        )
    return InputError(
        f'data.tokenizer = "{spec}": the repository has no {" or ".join(_NAMES)}. {CONVERT}'
    )


def _first_line(error: OSError) -> str:
    return str(error).strip().partition("\n")[0]


def format_of(content: bytes, path: Path) -> Format:
    """What a tokenizer's file is, by its content.

    Raises:
        InputError: none of the formats that are read.
    """
    start = content[: 1 << 16].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"{"):
        _check_json(content, path)
        return "json"
    if _RANK.match(start):
        return "tiktoken"
    if start.startswith(b"\x0a") or content.startswith(b"\x0a") or path.suffix == ".model":
        return "sentencepiece"
    raise InputError(
        f"tokenizer {path}: neither a tokenizer.json nor a SentencePiece model nor tiktoken ranks. "
        f"A vocab.txt or merges.txt is half of a tokenizer. {CONVERT}"
    )


def _check_json(content: bytes, path: Path) -> None:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"tokenizer {path}: not a tokenizer.json ({error}).") from None
    if isinstance(document.get("model"), dict):
        return
    keys = ", ".join(list(document)[:5])
    near = path.parent / "tokenizer.json"
    instead = f"Give {near}." if near != path and near.is_file() else CONVERT
    raise InputError(
        f"tokenizer {path}: JSON, but not a tokenizer.json: it has no `model` (its keys begin with "
        f"{keys}). {instead}"
    )
