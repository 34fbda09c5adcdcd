"""Token ids of other programs are used as they are, by the tokenizer that is named."""

import json
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import WORDS
from workbench.data.corpora import open_corpus
from workbench.data.preparation import prepare
from workbench.data.tokenizers import load_tokenizer, train_bpe
from workbench.errors import InputError
from workbench.recipe import DataConfig

Documents = list[list[int]]


def _texts() -> Iterator[str]:
    rng = random.Random(0)
    for _ in range(120):
        yield " ".join(rng.choices([*WORDS, "naïve", "größe"], k=rng.randint(3, 30)))


TEXTS = list(_texts())


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("bpe") / "tokenizer.json"
    train_bpe(iter(TEXTS), 300, path)
    return str(path)


@pytest.fixture(scope="module")
def documents(tokenizer: str) -> Documents:
    return [ids.tolist() for ids in load_tokenizer(tokenizer).encode(TEXTS)]


def eod_of(tokenizer: str) -> int:
    return load_tokenizer(tokenizer).vocabulary.eod_id


def nanogpt(path: Path, documents: Documents, eod: int) -> None:
    """As `prepare.py` of nanoGPT: uint16, each document ended by the token."""
    np.array([i for ids in documents for i in [*ids, eod]], np.uint16).tofile(path)


def llm_c(path: Path, documents: Documents, eod: int, magic: int = 20240520) -> None:
    """As llm.c's `write_datafile`: a header, each document begun by the token."""
    tokens = [i for ids in documents for i in [eod, *ids]]
    header = np.zeros(256, np.int32)
    header[:3] = magic, 1 if magic == 20240520 else 7, len(tokens)
    kind = np.uint16 if magic == 20240520 else np.uint32
    path.write_bytes(header.tobytes() + np.array(tokens, kind).tobytes())


def llm_c_wide(path: Path, documents: Documents, eod: int) -> None:
    llm_c(path, documents, eod, 20240801)


def megatron(path: Path, documents: Documents, eod: int, kind: int = 8, cut: int = 3) -> None:
    """As Megatron's `IndexedDatasetBuilder`: documents of sentences, with `--append-eod`."""
    dtype = {4: np.int32, 8: np.uint16}[kind]
    sequences, firsts = [], [0]
    for ids in documents:
        whole = [*ids, eod]
        sequences += [whole[:cut], whole[cut:]] if len(whole) > cut else [whole]
        firsts.append(len(sequences))
    lengths = [len(one) for one in sequences]
    starts = np.cumsum([0, *lengths[:-1]]) * np.dtype(dtype).itemsize
    path.write_bytes(b"".join(np.array(one, dtype).tobytes() for one in sequences))
    path.with_suffix(".idx").write_bytes(
        b"MMIDIDX\x00\x00"
        + struct.pack("<QBQQ", 1, kind, len(sequences), len(firsts))
        + np.array(lengths, np.int32).tobytes()
        + starts.astype(np.int64).tobytes()
        + np.array(firsts, np.int64).tobytes()
    )


def megatron_int32(path: Path, documents: Documents, eod: int) -> None:
    megatron(path, documents, eod, kind=4)


Write = Callable[[Path, Documents, int], None]
FORMATS: list[Write] = [nanogpt, llm_c, llm_c_wide, megatron, megatron_int32]


def read(corpus: Path | str, tokenizer: str) -> Documents:
    found: Documents = [[]]
    opened = open_corpus(str(corpus), document="file", text_key="text", tokenizer=tokenizer)
    for piece in opened.pieces():
        assert piece.ids is not None
        found[-1] += piece.ids.tolist()
        if piece.last:
            found.append([])
    assert not found.pop()
    return found


@pytest.mark.parametrize("write", FORMATS)
def test_documents_of_every_format_are_those_that_were_written(
    write: Write, tokenizer: str, documents: Documents, tmp_path: Path
) -> None:
    write(tmp_path / "a.bin", documents[:70], eod_of(tokenizer))
    write(tmp_path / "b.bin", documents[70:], eod_of(tokenizer))
    assert read(tmp_path / "*", tokenizer) == documents
    assert read(tmp_path / "b.bin", tokenizer) == documents[70:]


def test_documents_longer_than_a_block_are_whole(
    tokenizer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.data.token_shards._CHUNK", 64)
    long: Documents = [[i % 200 + 1 for i in range(n)] for n in (700, 1, 512, 32, 31, 33, 900)]
    for write in (nanogpt, llm_c):
        write(tmp_path / "a.bin", long, eod_of(tokenizer))
        assert read(tmp_path / "a.bin", tokenizer) == long


def test_megatrons_prefix_names_its_two_files(
    tokenizer: str, documents: Documents, tmp_path: Path
) -> None:
    megatron(tmp_path / "my_text_document.bin", documents, eod_of(tokenizer))
    assert read(tmp_path / "my_text_document", tokenizer) == documents


def config(corpus: Path, tokenizer: str, **more: Any) -> DataConfig:
    values = {"unique_tokens": 64, "seq_len": 8, "validation_tokens": 64, "document": "line"}
    return DataConfig(corpus=str(corpus), tokenizer=tokenizer, **{**values, **more})


def test_prepared_they_are_the_tokens_and_the_bytes_of_the_text(
    tokenizer: str, documents: Documents, tmp_path: Path
) -> None:
    megatron(tmp_path / "a.bin", documents, eod_of(tokenizer))
    (tmp_path / "a.txt").write_text("\n".join(TEXTS))
    of_ids = prepare(config(tmp_path / "a.bin", tokenizer), tmp_path / "r")
    of_text = prepare(config(tmp_path / "a.txt", tokenizer), tmp_path / "r")
    every = [np.sort(np.concatenate([one.train(), one.held_out()])) for one in (of_ids, of_text)]
    assert np.array_equal(every[0], every[1])
    library, held_out = load_tokenizer(tokenizer), of_ids.held_out()
    texts = [library.decode(held_out[a : b - 1]) for a, b in of_ids.held_out_documents()]
    assert set(texts) <= set(TEXTS)
    assert of_ids.manifest["held_out_bytes"] == sum(len(text.encode()) for text in texts)


def test_ids_beyond_the_named_tokenizers_are_refused(
    tokenizer: str, documents: Documents, tmp_path: Path
) -> None:
    for write in FORMATS:
        write(tmp_path / "a.bin", [*documents, [5, 301]], eod_of(tokenizer))
        with pytest.raises(InputError, match=r"a\.bin: token id 301, .*end at 299"):
            read(tmp_path / "a.bin", tokenizer)
        (tmp_path / "a.idx").unlink(missing_ok=True)
    megatron(tmp_path / "a.bin", [[5, -1]], eod_of(tokenizer), kind=4)
    with pytest.raises(InputError, match=r"a\.bin: token id -1"):
        read(tmp_path / "a.bin", tokenizer)


def test_a_shard_whose_documents_do_not_end_is_refused(tokenizer: str, tmp_path: Path) -> None:
    nanogpt(tmp_path / "a.bin", [[1, 2, 3]], 7)
    with pytest.raises(
        InputError, match=r"no more than one document a file: they end by the token id 0"
    ):
        read(tmp_path / "a.bin", tokenizer)


@pytest.mark.parametrize("cut", [1, 2, 400])
@pytest.mark.parametrize("write", [llm_c, megatron])
def test_a_shard_that_is_cut_off_is_refused(
    write: Write, cut: int, tokenizer: str, documents: Documents, tmp_path: Path
) -> None:
    write(tmp_path / "a.bin", documents, eod_of(tokenizer))
    content = (tmp_path / "a.bin").read_bytes()
    (tmp_path / "a.bin").write_bytes(content[:-cut])
    with pytest.raises(InputError, match=r"a\.(bin|idx): .*cut off"):
        read(tmp_path / "a.bin", tokenizer)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"TNTIDX\x00\x00" + bytes(40), "fairseq"),
        (b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, 1 << 60, 2), "cut off"),
        (b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 7, 0, 1) + bytes(8), "not an index"),
        (b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, 0, 1) + b"\xff" * 8, "not the index of"),
        (b"", "not an index"),
    ],
)
def test_an_index_of_another_kind_is_refused(
    content: bytes, words: str, tokenizer: str, tmp_path: Path
) -> None:
    (tmp_path / "a.bin").write_bytes(bytes(64))
    (tmp_path / "a.idx").write_bytes(content)
    with pytest.raises(InputError, match=rf"a\.idx: .*{words}"):
        read(tmp_path / "a.bin", tokenizer)


def test_ids_are_refused_where_text_is_needed(
    tokenizer: str, documents: Documents, tmp_path: Path
) -> None:
    nanogpt(tmp_path / "a.bin", documents, eod_of(tokenizer))
    with pytest.raises(InputError, match="holds token ids, and a tokenizer is trained on text"):
        open_corpus(str(tmp_path / "a.bin"), document="file", text_key="text")
    data = config(tmp_path / "a.bin", tokenizer, quality="low", quality_score="builtin")
    with pytest.raises(InputError, match="token ids, which have no text to score"):
        prepare(data, tmp_path / "r")
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": "x"}))
    with pytest.raises(InputError, match=r"token shards beside text \(a\.jsonl\)"):
        read(tmp_path / "*", tokenizer)
