"""The files of a checkpoint, written with digests and read as data: nothing in them can name code.

DCP keeps a checkpoint's tensors in `__RANK_0.distcp`, one torch archive after another, and where
each lies in `.metadata`. Here each archive has a digest, which lies in `.metadata` beside its
place: it is there exactly if the checkpoint is whole. It is compared with the bytes that are about
to be loaded, so nothing is read twice, and no part that nobody asked for. Archives are loaded as
weights only, and `.metadata` as `checkpoint_metadata.py` does.
"""

import io
import operator
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import torch
import xxhash
from torch.distributed._shard._utils import narrow_tensor_by_index
from torch.distributed.checkpoint import DefaultLoadPlanner, FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint._traverse import set_element
from torch.distributed.checkpoint.filesystem import (
    CURRENT_DCP_VERSION,
    FileSystem,
    _StorageWriterTransforms,
)
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex
from torch.distributed.checkpoint.planner import LoadItemType, LoadPlan, ReadItem
from torch.distributed.checkpoint.storage import WriteResult
from torch.futures import Future

from workbench.runs.files import plain_file
from workbench.runs.unfinished import replace_durably
from workbench.training.checkpoint_metadata import (
    METADATA,
    DamagedCheckpoint,
    digest,
    pickled,
    read_metadata,
)


class _PlainFiles(FileSystem):
    """Opens no link and nothing but files, and never writes into a file that is there already:
    another run's checkpoint may have it too, by a hard link."""

    @contextmanager
    def create_stream(self, path: str | os.PathLike[str], mode: str) -> Iterator[io.IOBase]:
        if "w" in mode:
            Path(path).unlink(missing_ok=True)
        with open(path, mode, opener=plain_file) as stream:
            yield cast(io.IOBase, stream)


class _Hashed(io.IOBase):
    """A stream that passes on what is written into it, and digests it on the way."""

    def __init__(self, stream: Any, done: Callable[[int], None]) -> None:
        self._stream, self._done = stream, done
        self._hash = xxhash.xxh3_64()

    def write(self, content: Any) -> int:
        self._hash.update(content)
        return int(self._stream.write(content))

    def close(self) -> None:
        if not self.closed:
            self._done(self._hash.intdigest())
            self._stream.close()
        super().close()


class _Hashing(_StorageWriterTransforms):
    """Digests of the archives that this rank writes, as they are written."""

    def __init__(self) -> None:
        super().__init__()
        self.digests: dict[MetadataIndex, int] = {}

    def transform_save_stream(self, write_item: Any, raw_stream: Any) -> tuple[Any, list[str]]:
        stream, names = super().transform_save_stream(write_item, raw_stream)
        return _Hashed(stream, lambda found: self.digests.update({write_item.index: found})), names


class DigestingWriter(FileSystemWriter):
    """DCP's files, with digests. Ranks digest what they write; the first one has all of them."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.fs = _PlainFiles()
        self.transforms = self._hashing = _Hashing()

    def write_data(self, plan: Any, planner: Any) -> Future[list[WriteResult]]:
        written: Future[list[WriteResult]] = super().write_data(plan, planner)
        for result in written.value():
            # An attribute that DCP's class does not have goes into the pickle with the others.
            result.storage_data.xxh3 = self._hashing.digests[result.index]
        return written

    def finish(self, metadata: Metadata, results: list[list[WriteResult]]) -> None:
        """Write `.metadata`, which makes the checkpoint one: it appears whole, and last."""
        metadata.version = CURRENT_DCP_VERSION
        metadata.storage_data = {
            one.index: one.storage_data for of_rank in results for one in of_rank
        }
        metadata.storage_meta = self.storage_meta()
        path = Path(self.path) / METADATA
        temporary = path.with_name(f"{METADATA}.tmp")
        with self.fs.create_stream(temporary, "wb") as file:
            file.write(pickled(metadata))
        replace_durably(temporary, path)


class _Memory(io.RawIOBase):
    """A file of what is in memory, which is not copied for that."""

    def __init__(self, content: memoryview) -> None:
        self._content, self._place = content, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, target: Any) -> int:
        part = self._content[self._place : self._place + len(target)]
        target[: len(part)] = part
        self._place += len(part)
        return len(part)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: len(self._content)}
        self._place = start[whence] + offset
        return self._place

    def tell(self) -> int:
        return self._place


class CheckedReader(FileSystemReader):
    """DCP's files, read as data and compared with their digests. For `CheckedPlanner`."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.fs = _PlainFiles()
        self._buffer = bytearray()
        self.damage: DamagedCheckpoint | None = None
        self.digested = False
        """Whether the checkpoint has digests: those of before do not."""

    def read_metadata(self) -> Metadata:
        # DCP would log an error's traceback and look for other files: the planner raises it.
        try:
            metadata, self.digested = read_metadata(Path(self.path) / METADATA)
        except DamagedCheckpoint as error:
            self.damage = error
            return Metadata({})
        return metadata

    def read_data(self, plan: LoadPlan, planner: Any) -> Future[None]:
        by_file: dict[str, list[ReadItem]] = {}
        for item in plan.items:
            by_file.setdefault(self.storage_data[item.storage_index].relative_path, []).append(item)
        for name, items in by_file.items():
            path = Path(self.path) / name
            try:
                with self.fs.create_stream(path, "rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    for item in items:
                        self._read_item(path, file, size, item, planner)
            except OSError as error:
                raise DamagedCheckpoint(f"{path}: cannot be read ({error.strerror})") from error
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def _read_item(
        self, path: Path, file: io.IOBase, size: int, item: ReadItem, planner: Any
    ) -> None:
        place = self.storage_data[item.storage_index]
        if place.offset + place.length > size:
            raise DamagedCheckpoint(f"{path}: cut short")
        if len(self._buffer) < place.length:
            self._buffer = bytearray(place.length)
        content = memoryview(self._buffer)[: place.length]
        file.seek(place.offset)
        if cast(Any, file).readinto(content) != place.length:
            raise DamagedCheckpoint(f"{path}: cut short")
        if self.digested and digest(content) != place.xxh3:
            raise DamagedCheckpoint(
                f"{path}: {item.storage_index.fqn} is not what was written (its digest differs)"
            )
        try:
            loaded = torch.load(cast(Any, _Memory(content)), map_location="cpu", weights_only=True)
        except Exception as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise DamagedCheckpoint(
                f"{path}: {item.storage_index.fqn} cannot be read ({reason})"
            ) from error
        if item.type == LoadItemType.BYTE_IO:
            planner.set_value(item, loaded)
            return
        target = planner.resolve_tensor(item).detach()
        if not isinstance(loaded, torch.Tensor):
            raise DamagedCheckpoint(f"{path}: {item.storage_index.fqn} is no tensor")
        shape = loaded.size()
        ends = [sum(span) for span in zip(item.storage_offsets, item.lengths, strict=True)]
        if len(shape) != len(ends) or any(map(operator.gt, ends, shape)):
            raise DamagedCheckpoint(
                f"{path}: {item.storage_index.fqn} has another shape than {METADATA} says"
            )
        part = narrow_tensor_by_index(loaded, item.storage_offsets, item.lengths)
        target.copy_(part)
        planner.commit_tensor(item, target)


class CheckedPlanner(DefaultLoadPlanner):
    """DCP's planner, for what a `CheckedReader` has read."""

    def __init__(self, reader: CheckedReader) -> None:
        super().__init__()
        self._reader = reader

    def set_up_planner(self, *args: Any, **kwargs: Any) -> None:
        if self._reader.damage is not None:
            raise self._reader.damage
        super().set_up_planner(*args, **kwargs)

    def set_value(self, item: ReadItem, value: Any) -> None:
        """Put a value that is no tensor into the state."""
        set_element(self.original_state_dict, self.mappings[item.dest_index.fqn], value)

    def load_bytes(self, read_item: ReadItem, value: io.BytesIO) -> None:
        raise NotImplementedError("DCP's own would load any pickle: `CheckedReader` loads values")
