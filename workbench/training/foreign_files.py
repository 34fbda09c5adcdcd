"""The files of a model in the format of Hugging Face: a folder, or a repository of the hub."""

import hashlib
import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import InputError

PREFIX = "hf:"
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_WANTED = ("*.json", "*.safetensors", "*.model", "*.txt")


@dataclass(frozen=True)
class ModelFiles:
    """A model on this disk."""

    name: str
    """As it was asked for, without `hf:`."""
    folder: Path
    revision: str | None
    """The hub's commit; None of a folder."""
    config: dict[str, Any]
    """Its config.json."""

    def digests(self, *, with_code: bool = False) -> dict[str, str]:
        """SHA-256 of config.json and of each file of weights, by its name.

        Args:
            with_code: of the Python files beside them too, where config.json names some as its own.
        """
        names = {"config.json", *_weights(self.folder, f"{PREFIX}{self.name}")}
        if with_code and self.config.get("auto_map"):
            names.update(path.name for path in self.folder.glob("*.py"))
        found = {}
        for name in sorted(names):
            with (self.folder / name).open("rb") as file:
                found[name] = hashlib.file_digest(file, "sha256").hexdigest()
        return found

    def code(self, classes: Iterable[str]) -> tuple[str, str] | None:
        """(class of transformers, file) of its own modelling code, for the first of some classes
        that has any; None where none has."""
        table = self.config.get("auto_map")
        references = {} if not isinstance(table, dict) else table
        for name in classes:
            if isinstance(reference := references.get(name), str):
                return name, f"{reference.rpartition('.')[0]}.py"
        return None


def find_model(name: str, *, with_code: bool) -> ModelFiles:
    """The files of `hf:NAME`: a folder, or a repository `org/name` or `org/name@revision` of the
    hub, from the local cache where it is there. `HF_HUB_OFFLINE` is respected.

    Args:
        with_code: fetch its Python files too.

    Raises:
        InputError: there is no such model, or its weights are not in safetensors.
    """
    name = name.removeprefix(PREFIX)
    try:
        folder = Path(name).expanduser()
        is_folder, is_file = folder.is_dir(), folder.exists()
    except (RuntimeError, OSError) as error:  # no such home; too long a name, or no right to look
        raise InputError(f"{PREFIX}{name:.200}: {getattr(error, 'strerror', error)}.") from None
    revision = None
    if is_file and not is_folder:
        raise InputError(
            f"{PREFIX}{name}: is a file. Give the folder with config.json and the weights, such as "
            f"{PREFIX}{folder.parent}."
        )
    if not is_folder:
        folder = _of_hub(name, with_code=with_code)
        revision = folder.name
    config = _read_config(folder, name)
    check_types(config, f"{PREFIX}{name}")
    if (folder / "adapter_config.json").is_file():
        raise InputError(
            f"{PREFIX}{name}: adapter_config.json says that this is an adapter to the weights of "
            "another model. Merge them, and give the result."
        )
    if not with_code:
        _refuse_kernels(config, f"{PREFIX}{name}")
    if not any((folder / file).is_file() for file in _WEIGHTS):
        raise InputError(_no_weights(folder, name))
    _weights(folder, f"{PREFIX}{name}")
    _refuse_detours(folder, config, f"{PREFIX}{name}")
    return ModelFiles(name, folder, revision, config)


def _weights(folder: Path, where: str) -> list[str]:
    """The names of the files of weights that transformers loads: one, or those of an index.

    Raises:
        InputError: the index cannot be read, or names another file than safetensors beside it.
    """
    single, index = _WEIGHTS
    if (folder / single).is_file():
        return [single]
    try:
        table = json.loads((folder / index).read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(table.values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{where}: {index}: cannot be read ({error}).") from None
    for name in names:
        plain = isinstance(name, str) and name.endswith(".safetensors") and Path(name).name == name
        if not plain or not (folder / name).is_file():
            raise InputError(
                f"{where}: {index} names {name!r}: expected files in safetensors beside it."
            )
    return names


LENGTHS = ("n_positions", "max_position_embeddings", "max_sequence_length", "n_ctx")
"""Keys of config.json for the tokens of context, in the order in which they are believed."""


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _of(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


_IDS = "bos_token_id", "eos_token_id", "mask_token_id"
_TYPES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "model_type": ("a text", _of(str)),
    **dict.fromkeys(("dtype", "torch_dtype"), ("a text", _of(str, dict))),
    **dict.fromkeys(("workbench", "text_config", "auto_map"), ("an object", _of(dict))),
    **dict.fromkeys(
        (*LENGTHS, "workbench.seq_len"), ("a whole number above 0", lambda v: _whole(v) and v > 0)
    ),
    "workbench.step": ("a whole number", _whole),
    **dict.fromkeys(
        _IDS,
        ("an id or a list of ids", lambda v: all(map(_whole, v if isinstance(v, list) else [v]))),
    ),
}
"""What the keys of config.json that are read here have to be."""


def check_types(config: dict[str, Any], where: str, table: str = "") -> None:
    """Check the keys of a config.json that are read here. A key may be null, as if it were missing.

    Args:
        table: the name of the table that this is, with a dot behind it.

    Raises:
        InputError: it names the key, what it is and what is expected.
    """
    for key, value in config.items():
        expected, fits = _TYPES.get(table + key) or _TYPES.get(key) or ("", _of(object))
        if value is not None and not fits(value):
            raise InputError(
                f"{where}: config.json: {table}{key} is {json.dumps(value):.60}: expected "
                f"{expected}."
            )
    for inner in ("text_config", "workbench"):
        if not table and config.get(inner):
            check_types(config[inner], where, f"{inner}.")


def _refuse_detours(folder: Path, config: dict[str, Any], where: str) -> None:
    """Refuse settings that lead to weights or code elsewhere than beside each other.

    Raises:
        InputError: it names the file and the key.
    """
    if "transformers_weights" in config:
        raise InputError(
            f"{where}: config.json has transformers_weights = {config['transformers_weights']!r}, "
            f"other weights than {' or '.join(_WEIGHTS)}. Remove the key, or the other file."
        )
    tokenizer = folder / "tokenizer_config.json"
    documents = {"config.json": config}
    if tokenizer.is_file():
        documents[tokenizer.name] = _read_document(tokenizer, where)
    for name, document in documents.items():
        if found := re.search(r"([^\"]*)--", json.dumps(document.get("auto_map"))):
            raise InputError(
                f"{where}: {name}: its auto_map names code in another repository, {found[1]}, and "
                "that is not fetched. Copy the file beside the weights, and name it alone."
            )


def _of_hub(name: str, *, with_code: bool) -> Path:
    import huggingface_hub as hub
    from huggingface_hub.errors import HFValidationError

    repository, _, revision = name.partition("@")
    wanted = [*_WANTED, "*.py"] if with_code else list(_WANTED)
    try:
        return Path(
            hub.snapshot_download(repository, revision=revision or None, allow_patterns=wanted)
        )
    except HFValidationError:
        raise InputError(
            f"{PREFIX}{name}: no such folder. Expected a folder, hf:org/name or "
            "hf:org/name@revision."
        ) from None
    except Exception as error:  # of the network there are many kinds
        first = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{PREFIX}{name}: no such folder here, not in the local cache of Hugging Face "
            f"(HF_HOME), and the hub does not give it ({first}). Where there is a network, "
            f"`hf download {repository}` brings it into the cache; or give the path of a folder."
        ) from None


def _read_config(folder: Path, name: str) -> dict[str, Any]:
    return _read_document(folder / "config.json", f"{PREFIX}{name}")


def _read_document(path: Path, where: str) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{where}: {path}: cannot be read ({error}).") from None
    if not isinstance(document, dict):
        raise InputError(f"{where}: {path}: expected an object.")
    return document


def _refuse_kernels(config: dict[str, Any], where: str) -> None:
    """Refuse a configuration, or a part of one, that names code on the hub to compute with."""
    for key, value in config.items():
        if isinstance(value, dict):
            _refuse_kernels(value, where)
        elif "implementation" in key and isinstance(value, str) and "/" in value:
            raise InputError(
                f'{where}: config.json has {key} = "{value}", which is code on the hub. Remove '
                "the key, or give --trust-remote-code where you trust that."
            )


def _no_weights(folder: Path, name: str) -> str:
    pickles = sorted({path.name for glob in _PICKLES for path in folder.glob(glob)})
    if not pickles:
        return f"{PREFIX}{name}: {folder} has no weights: {' or '.join(_WEIGHTS)} is missing."
    return (
        f"{PREFIX}{name}: its weights are in {', '.join(pickles[:3])}, a pickle, which can run "
        "code when it is read, and is not. Many repositories have them in safetensors too; where "
        "you trust the file, transformers converts it: AutoModelForCausalLM.from_pretrained(FOLDER)"
        ".save_pretrained(OUT)."
    )
