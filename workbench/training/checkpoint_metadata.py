"""A checkpoint's `.metadata`, read as data: which tensors there are, and where each one lies.

DCP pickles it. Here an unpickler that knows eight classes and three functions by name puts records
without methods in their places, and DCP's objects are made of those once each part is checked. It
ends with a digest of itself, behind the pickle's end, where other readers do not look.

XXH3 with 64 bits: it finds damage, and proves nothing of who wrote a file.
"""

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import xxhash
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import (
    BytesStorageMetadata,
    ChunkStorageMetadata,
    Metadata,
    MetadataIndex,
    StorageMeta,
    TensorProperties,
    TensorStorageMetadata,
)

from workbench.errors import WorkbenchError
from workbench.runs.files import read_bytes

METADATA = ".metadata"
_METADATA_LIMIT = 2**30
_TRAILER = b"\nxxh3-64 "
"""Before the 16 digits that end `.metadata`."""


class DamagedCheckpoint(WorkbenchError):
    """A file of a checkpoint is not what was written: the message names it, and what is wrong."""


def digest(content: Any) -> int:
    """XXH3, 64 bits, of bytes."""
    return xxhash.xxh3_64_intdigest(content)


def pickled(metadata: Metadata) -> bytes:
    """The content of `.metadata`, which `read_metadata` reads, and DCP too."""
    content = pickle.dumps(metadata)
    return content + _TRAILER + f"{digest(content):016x}".encode()


def read_metadata(path: Path) -> tuple[Metadata, bool]:
    """A checkpoint's `.metadata`, and whether it has digests: those of earlier versions have none.

    Raises:
        DamagedCheckpoint: it is not what was written, or not a checkpoint's.
    """
    try:
        content = read_bytes(path, limit=_METADATA_LIMIT)
    except OSError as error:
        raise DamagedCheckpoint(f"{path}: cannot be read ({error.strerror})") from error
    at = len(content) - len(_TRAILER) - 16
    digested = at >= 0 and content[at : at + len(_TRAILER)] == _TRAILER
    if digested and content[-16:] != f"{digest(content[:at]):016x}".encode():
        raise DamagedCheckpoint(f"{path}: is not what was written (its digest differs)")
    try:
        metadata = _metadata(_Unpickler(io.BytesIO(content)).load(), digested)
    except DamagedCheckpoint as error:
        raise DamagedCheckpoint(f"{path}: {error}") from None
    except Exception as error:  # an unpickler fails in every way on what is no pickle
        raise DamagedCheckpoint(f"{path}: not a checkpoint's metadata ({error})") from error
    return metadata, digested


# What `.metadata` may name. Each is a record's place or a value: no class of these is made, and
# none of their methods is called, by what the file says.
_RECORDS = {
    ("torch.distributed.checkpoint.metadata", "Metadata"),
    ("torch.distributed.checkpoint.metadata", "TensorStorageMetadata"),
    ("torch.distributed.checkpoint.metadata", "BytesStorageMetadata"),
    ("torch.distributed.checkpoint.metadata", "ChunkStorageMetadata"),
    ("torch.distributed.checkpoint.metadata", "TensorProperties"),
    ("torch.distributed.checkpoint.metadata", "MetadataIndex"),
    ("torch.distributed.checkpoint.metadata", "StorageMeta"),
    ("torch.distributed.checkpoint.filesystem", "_StorageInfo"),
}
_VALUES: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("torch", "Size"): tuple,
    ("torch.serialization", "_get_layout"): str,
    ("torch.distributed.checkpoint.metadata", "_MEM_FORMAT_ENCODING"): int,
}
_PATHS = {("pathlib", "PosixPath"), ("pathlib._local", "PosixPath")}


class _Unpickler(pickle.Unpickler):
    """Makes records of what DCP writes, and refuses every other name."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        # Of this one load: what a pickle sets on a class stays on no class of anybody else.
        self._records = {name: _record(name[1]) for name in _RECORDS}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in self._records:
            return self._records[module, name]
        if (module, name) in _VALUES:
            convert = _VALUES[module, name]
            return lambda value: convert(value)
        if (module, name) in _PATHS:
            return lambda *parts: "/".join(map(str, parts))
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        raise DamagedCheckpoint(
            f"names {module}.{name}, which no checkpoint needs: it would run code of whoever "
            "wrote the file, and was not loaded"
        )

    def persistent_load(self, pid: Any) -> Any:
        raise DamagedCheckpoint("refers to what lies outside of it")


def _record(name: str) -> type:
    def set_state(self: Any, state: Any) -> None:
        self.state = state

    return type(name, (), {"__setstate__": set_state, "state": None})


def _metadata(read: Any, digested: bool) -> Metadata:
    """DCP's own objects of the records, each part checked.

    Raises:
        Exception: of any kind, where a part is missing or is of another kind.
    """
    document = _fields(read, "Metadata")
    places = {
        _index(index): _place(place, digested) for index, place in document["storage_data"].items()
    }
    parts = {str(name): _stored(one) for name, one in document["state_dict_metadata"].items()}
    return Metadata(parts, storage_data=places, storage_meta=StorageMeta())


def _fields(record: Any, name: str) -> Any:
    if type(record).__name__ != name or not isinstance(state := record.state, dict | tuple | None):
        raise ValueError(f"{type(record).__name__} in the place of {name}")
    return {} if state is None else state


def _whole(number: Any) -> int:
    if type(number) is not int or not 0 <= number < 2**63:
        raise ValueError("a size is no whole number")
    return number


def _size(values: Any) -> torch.Size:
    return torch.Size([_whole(value) for value in values])


def _index(record: Any) -> MetadataIndex:
    fields = SimpleNamespace(**{"offset": None, "index": None, **_fields(record, "MetadataIndex")})
    offset = None if fields.offset is None else _size(fields.offset)
    return MetadataIndex(str(fields.fqn), offset, fields.index)


def _place(record: Any, digested: bool) -> _StorageInfo:
    fields = _fields(record, "_StorageInfo")
    name, found = fields["relative_path"], fields.get("xxh3")
    if not isinstance(name, str) or Path(name).name != name or not name.endswith(".distcp"):
        raise ValueError("a part lies in no file of the checkpoint")
    if fields.get("transform_descriptors"):
        raise ValueError("parts are encoded in a way that is not known")
    if digested != (type(found) is int):
        raise ValueError("digests are missing")
    place = _StorageInfo(name, _whole(fields["offset"]), _whole(fields["length"]))
    place.xxh3 = found  # type: ignore[attr-defined]
    return place


def _stored(record: Any) -> TensorStorageMetadata | BytesStorageMetadata:
    if type(record).__name__ == "BytesStorageMetadata":
        return BytesStorageMetadata()
    fields = _fields(record, "TensorStorageMetadata")
    dtype = _fields(fields["properties"], "TensorProperties")[0]
    if not isinstance(dtype, torch.dtype):
        raise ValueError("a tensor has no dtype")
    chunks = [_fields(chunk, "ChunkStorageMetadata") for chunk in fields["chunks"]]
    return TensorStorageMetadata(
        TensorProperties(dtype=dtype),
        _size(fields["size"]),
        [ChunkStorageMetadata(_size(one["offsets"]), _size(one["sizes"])) for one in chunks],
    )
