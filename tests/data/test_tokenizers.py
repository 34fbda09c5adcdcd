"""Tokenizers of files: read as text is meant, without what the program that saved them added."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from workbench.data import find_prepared
from workbench.data.json_tokenizer import JsonTokenizer
from workbench.data.preparation import prepare
from workbench.data.sources import request_of
from workbench.data.tokenizers import (
    ByteTokenizer,
    MissingTokenizer,
    load_same_tokenizer,
    load_tokenizer,
)
from workbench.errors import InputError
from workbench.recipe import DataConfig

FILES = Path(__file__).parent / "tokenizers"
TEXTS = [json.loads(line)["text"] for line in (FILES / "texts.jsonl").read_text().splitlines()]
MENTION = "Some corpora write <|endoftext|> to part documents."

Edit = Callable[[dict[str, Any]], Any]


def saved(folder: Path, name: str, edit: Edit) -> str:
    """A copy of one of the files with something changed in it."""
    document = json.loads((FILES / name).read_text())
    edit(document)
    path = folder / "edited.json"
    path.write_text(json.dumps(document))
    return str(path)


def data(corpus: Path | str, tokenizer: str, **changes: Any) -> DataConfig:
    values = {"unique_tokens": 64, "seq_len": 8, "validation_tokens": 64, "document": "line"}
    return DataConfig(corpus=str(corpus), tokenizer=tokenizer, **{**values, **changes})


def ids_of(spec: str, text: str) -> list[int]:
    return load_tokenizer(spec).encode([text])[0].tolist()


# Special tokens in text.


def _own_specials(document: dict[str, Any]) -> None:
    document["added_tokens"] += [
        {**document["added_tokens"][0], "id": 257, "content": "<|im_end|>"},
        {**document["added_tokens"][0], "id": 258, "content": "<s>"},
    ]


def _ordinary(document: dict[str, Any]) -> None:
    document["added_tokens"][0]["special"] = False


@pytest.mark.parametrize("edit", [lambda document: None, _own_specials, _ordinary])
def test_no_text_becomes_the_end_of_a_document(edit: Edit, tmp_path: Path) -> None:
    spec = saved(tmp_path, "special.json", edit)
    tokenizer = load_tokenizer(spec)
    text = MENTION + " <|im_end|><s>"
    ids = ids_of(spec, text)
    assert tokenizer.vocabulary.eod_id not in ids
    assert tokenizer.decode(ids) == text


def test_a_special_token_in_text_has_the_ids_of_its_letters() -> None:
    assert len(ids_of(str(FILES / "special.json"), "<|endoftext|>")) == 13
    assert ids_of(str(FILES / "special.json"), MENTION) == ids_of(
        str(FILES / "plain.json"), MENTION
    )


def test_a_zero_byte_in_text_does_not_end_a_document() -> None:
    tokenizer = ByteTokenizer()
    (ids,) = tokenizer.encode(["a\0b"])
    assert len(ids) == 3
    assert tokenizer.vocabulary.eod_id not in ids


# What the program that saved a file left in it.


def _cut(document: dict[str, Any]) -> None:
    document["truncation"] = {
        "direction": "Left", "max_length": 4, "strategy": "LongestFirst", "stride": 0
    }  # fmt: skip


def _pad(document: dict[str, Any]) -> None:
    document["padding"] = {
        "strategy": "BatchLongest", "direction": "Left", "pad_to_multiple_of": 64,
        "pad_id": 0, "pad_type_id": 0, "pad_token": "!",
    }  # fmt: skip


def _drop(document: dict[str, Any]) -> None:
    vocabulary = document["model"]["vocab"]
    for left, right in (("t", "h"), ("th", "u"), ("thu", "n")):
        vocabulary[left + right] = len(vocabulary)
        document["model"]["merges"].append([left, right])
    document["model"]["dropout"] = 0.5


def _merge(document: dict[str, Any]) -> None:
    _drop(document)
    document["model"]["dropout"] = None


@pytest.mark.parametrize(
    ("edit", "plain"), [(_cut, lambda d: None), (_pad, lambda d: None), (_drop, _merge)]
)
def test_settings_of_the_program_that_saved_a_file_change_no_ids(
    edit: Edit, plain: Edit, tmp_path: Path
) -> None:
    (tmp_path / "plain").mkdir()
    expected = load_tokenizer(saved(tmp_path / "plain", "plain.json", plain)).encode(TEXTS)
    encoded = load_tokenizer(saved(tmp_path, "plain.json", edit)).encode(TEXTS)
    assert all(map(np.array_equal, encoded, expected))


def test_a_file_that_cuts_and_pads_prepares_the_whole_text(tmp_path: Path) -> None:
    ways = {
        name: prepare(data(FILES / "texts.jsonl", str(FILES / name)), tmp_path)
        for name in ("cut-and-pad.json", "plain.json")
    }
    cut, plain = ways.values()
    assert cut.train_tokens == plain.train_tokens > 20_000
    assert np.array_equal(cut.train(), plain.train())
    assert cut.bytes_per_token == plain.bytes_per_token


def test_data_prepared_before_a_setting_was_left_out_is_prepared_anew(tmp_path: Path) -> None:
    """Data of earlier versions are known by the file's content alone."""
    for name, anew in (("cut-and-pad.json", True), ("special.json", True), ("plain.json", False)):
        config = data(FILES / "texts.jsonl", str(FILES / name))
        identity = load_tokenizer(config.tokenizer).identity
        assert (request_of(config)["tokenizer"] != identity) == anew, name
    assert request_of(data("x", "bytes"))["tokenizer"] == "bytes"


# Digests made by the version before tokenizers were read so.
FINGERPRINTS = {
    "bytes": "85dc85eae1a473aba61bd5557335f922fe18d4255ad3a13d05291e8ddfd38f7a",
    "plain.json": "9d439f1dc6d86acac831df6b6ba85e9275b1753f3862f8f198c14abccd8d5f4e",
    "special.json": "f42f2084ea0824512d51472d0a064bf6417b7abc85efe022b05c0d8b3c8a7977",
}


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_tokens_and_identity_of_ordinary_text_are_what_they_were(name: str, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    (tmp_path / "a.txt").write_text("\n\n".join(TEXTS))
    parquet.write_table(pyarrow.table({"text": TEXTS}), tmp_path / "a.parquet")
    tokenizer = name if name == "bytes" else str(FILES / name)
    for corpus, document in (
        (FILES / "texts.jsonl", "file"), (tmp_path / "a.txt", "blank-line"),
        (tmp_path / "a.parquet", "file"),
    ):  # fmt: skip
        prepared = prepare(data(corpus, tokenizer, document=document), tmp_path)
        assert prepared.fingerprint == FINGERPRINTS[name], corpus


def test_the_tokens_of_the_standard_library_are_the_bytes_of_its_sources() -> None:
    """The corpus of the quickstart and of every recipe for a CPU, read without our readers."""
    from workbench.data.corpora import open_corpus

    corpus: Any = open_corpus("python-stdlib", document="file", text_key="text")
    files = sorted(corpus.files)
    assert len(files) > 400
    pieces = corpus.pieces()
    for file in files:
        expected = file.read_bytes().decode(errors="replace")
        expected = expected.replace("\r\n", "\n").replace("\r", "\n")
        text = ""
        while len(text) < len(expected):
            piece = next(pieces)
            text += piece.text
            assert ByteTokenizer().encode([piece.text])[0].tobytes() == piece.text.encode()
        assert text == expected, file
    assert next(pieces, None) is None


# Ids.


def _far(document: dict[str, Any]) -> None:
    document["model"]["vocab"]["<|endoftext|>"] = document["added_tokens"][0]["id"] = 300


def _hole(document: dict[str, Any]) -> None:
    document["model"]["vocab"].pop("!")


def _twice(document: dict[str, Any]) -> None:
    document["model"]["vocab"]["b"] = document["model"]["vocab"]["a"]


@pytest.mark.parametrize(
    ("name", "edit", "n_tokens", "eod"),
    [
        ("gap.json", lambda document: None, 294, 293),
        ("special.json", _far, 301, 300),
        ("plain.json", lambda document: None, 257, 256),
    ],
)
def test_mask_and_padding_come_after_the_largest_id(
    name: str, edit: Edit, n_tokens: int, eod: int, tmp_path: Path
) -> None:
    spec = saved(tmp_path, name, edit)
    vocabulary = load_tokenizer(spec).vocabulary
    assert (vocabulary.n_tokens, vocabulary.mask_id, vocabulary.eod_id) == (n_tokens, n_tokens, eod)
    used = np.concatenate(load_tokenizer(spec).encode(TEXTS))
    assert used.max() < n_tokens <= vocabulary.size - 2


def test_ids_with_gaps_are_another_tokenizer_than_they_were_read_as() -> None:
    """Such a run had MASK on the id of a letter: its numbers are not to be taken for these."""
    content = (FILES / "gap.json").read_bytes()
    assert JsonTokenizer(FILES / "gap.json", content).identity.endswith(":294:293")


@pytest.mark.parametrize(("name", "edit"), [("special.json", _hole), ("plain.json", _twice)])
def test_two_tokens_of_one_id_are_refused(name: str, edit: Edit, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r'" and ".*" are both read as id \d+'):
        load_tokenizer(saved(tmp_path, name, edit))


def test_an_id_far_beyond_the_vocabulary_is_refused(tmp_path: Path) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["model"]["vocab"]["a"] = 2**31

    with pytest.raises(InputError, match=r'the token "a" has id 2147483648, and there are 256'):
        load_tokenizer(saved(tmp_path, "plain.json", edit))


# Formats.


def test_a_model_folder_is_its_tokenizer_json(tmp_path: Path) -> None:
    shutil.copyfile(FILES / "plain.json", tmp_path / "tokenizer.json")
    (tmp_path / "config.json").write_text("{}")
    folder, file = load_tokenizer(str(tmp_path)), load_tokenizer(str(FILES / "plain.json"))
    assert folder.identity == file.identity


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_what_is_no_file_is_not_waited_for(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    os.mkfifo(path) if kind == "fifo" else path.symlink_to("/dev/zero")
    with pytest.raises(InputError, match="expected a file of at most"):
        load_tokenizer(str(path))


def test_a_byte_order_mark_is_no_part_of_a_tokenizer_json(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(b"\xef\xbb\xbf" + (FILES / "plain.json").read_bytes())
    assert load_tokenizer(str(path)).vocabulary.n_tokens == 257


def _hub(cache: Path, name: str, commit: str) -> None:
    """What huggingface_hub leaves in its cache after a download."""
    folder = cache / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    (folder / "blobs").mkdir()
    shutil.copyfile(FILES / "plain.json", folder / "blobs" / "0123")
    (folder / "snapshots" / commit).mkdir(parents=True)
    (folder / "snapshots" / commit / "tokenizer.json").symlink_to("../../blobs/0123")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of Hugging Face with two models, and no network."""
    from huggingface_hub import constants

    from workbench.data.tokenizer_files import _of_hub

    cache = tmp_path / "hub"
    _hub(cache, "gpt2", "a" * 40)
    _hub(cache, "org/model", "b" * 40)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    _of_hub.cache_clear()
    return cache


@pytest.mark.parametrize("spec", ["hf:gpt2", "hf:org/model", f"hf:org/model@{'b' * 40}"])
def test_a_name_on_the_hub_is_read_from_the_local_cache(spec: str, hub: Path) -> None:
    file = load_tokenizer(str(FILES / "plain.json"))
    assert load_tokenizer(spec).identity == file.identity


def test_a_name_that_the_hub_does_not_give_says_how_to_get_it(hub: Path) -> None:
    with pytest.raises(MissingTokenizer, match=r"hf download org/other tokenizer\.json"):
        load_tokenizer("hf:org/other")
    with pytest.raises(InputError, match="expected hf:name or hf:org/name"):
        load_tokenizer("hf:a/b/c")


def _write(name: str, content: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        (folder / name).write_text(content)
        return folder / name

    return write


def _slow(folder: Path) -> Path:
    (folder / "vocab.json").write_text('{"a": 0}')
    (folder / "merges.txt").write_text("#version: 0.2\na b\n")
    return folder


def _config_beside(folder: Path) -> Path:
    shutil.copyfile(FILES / "plain.json", folder / "tokenizer.json")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
    return folder / "tokenizer_config.json"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda _: FILES / "ranks.tiktoken", ["ranks of tiktoken", '"tiktoken:PATTERN:', "cl100k"]),
        (_slow, ["merges.txt, vocab.json", "AutoTokenizer"]),
        (_config_beside, ["has no `model`", "tokenizer_class", "Give", "tokenizer.json"]),
        (_write("vocab.json", '{"a": 0, "b": 1}'), ["has no `model`", "AutoTokenizer"]),
        (_write("vocab.txt", "[PAD]\n[UNK]\nthe\n"), ["vocab.txt or merges.txt", "AutoTokenizer"]),
        (_write("t.json", '{"model": {"type": "BPE"'), ["not a tokenizer.json"]),
        (_write("t.json", '{"model": {"type": "Other"}}'), ["not a tokenizer.json"]),
    ],
)
def test_another_format_is_named_with_the_way_out(
    make: Callable[[Path], Path], words: list[str], tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refused:
        load_tokenizer(str(make(tmp_path)))
    assert all(word in str(refused.value) for word in words), refused.value


@pytest.mark.parametrize(
    ("spec", "extra"),
    [("spm.model", "sentencepiece"), ("words.model", "sentencepiece"),
     ("tiktoken:cl100k_base:words.tiktoken", "tiktoken"), ("tiktoken:cl100k_base", "tiktoken")],
)  # fmt: skip
def test_a_format_of_an_extra_names_it(
    spec: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FILES)
    monkeypatch.setitem(sys.modules, extra, None)  # what an import finds that is not installed
    with pytest.raises(InputError, match=rf"pip install 'workbench\[{extra}\]'.*AutoTokenizer"):
        load_tokenizer(spec)


def test_a_sentencepiece_model_gives_its_own_ids(tmp_path: Path) -> None:
    library = pytest.importorskip("sentencepiece", reason="needs the extra `sentencepiece`")
    tokenizer = load_tokenizer(str(FILES / "words.model"))
    theirs = library.SentencePieceProcessor(model_file=str(FILES / "words.model"))
    text = "thunder  <s> willow\n\tdéjà </s>"
    (ids,) = tokenizer.encode([text])
    assert ids.tolist() == theirs.encode(text)
    assert tokenizer.decode([*ids, tokenizer.vocabulary.eod_id, 9999]) == text
    assert tokenizer.vocabulary.eod_id == theirs.vocab_size()
    with pytest.raises(InputError, match="not a SentencePiece model"):
        load_tokenizer(str(FILES / "spm.model"))
    tokenizer.save(tmp_path)
    assert load_tokenizer(str(tmp_path)).identity == tokenizer.identity


def test_ranks_of_tiktoken_give_its_ids(tmp_path: Path) -> None:
    pytest.importorskip("tiktoken", reason="needs the extra `tiktoken`")
    ranks = FILES / "words.tiktoken"
    tokenizer = load_tokenizer(f"tiktoken:gpt2:{ranks}")
    assert ids_of(f"tiktoken:gpt2:{ranks}", "thunder the") == [256, *b"und", 259, 258]
    text = "the <|endoftext|> déjà\0"
    (ids,) = tokenizer.encode([text])
    assert tokenizer.decode([*ids, tokenizer.vocabulary.eod_id]) == text
    assert tokenizer.vocabulary.eod_id == 263 == tokenizer.vocabulary.n_tokens - 1
    tokenizer.save(tmp_path)
    assert (tmp_path / "ranks.tiktoken").read_text() == ranks.read_text()
    with pytest.raises(InputError, match="254 of the 256 bytes have no rank"):
        load_tokenizer(f"tiktoken:gpt2:{FILES / 'ranks.tiktoken'}")
    with pytest.raises(InputError, match='no pattern "gpt5"'):
        load_tokenizer(f"tiktoken:gpt5:{ranks}")


def test_an_encoding_of_tiktoken_is_known_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that a package adds, since tiktoken's own are downloaded."""
    pytest.importorskip("tiktoken", reason="needs the extra `tiktoken`")
    from tiktoken import registry

    (tmp_path / "tiktoken_ext").mkdir()
    (tmp_path / "tiktoken_ext" / "our_words.py").write_text(
        "ranks = {bytes([i]): i for i in range(256)} | {b'th': 256}\n"
        "words = dict(name='words', pat_str=r'\\S+|\\s+', mergeable_ranks=ranks,\n"
        "             special_tokens={'<|endoftext|>': 300})\n"
        "ENCODING_CONSTRUCTORS = {'words': lambda: words}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "ENCODING_CONSTRUCTORS", None)
    registry._available_plugin_modules.cache_clear()
    tokenizer = load_tokenizer("tiktoken:words")
    assert (tokenizer.vocabulary.n_tokens, tokenizer.vocabulary.eod_id) == (301, 300)
    ids = ids_of("tiktoken:words", MENTION + "th")
    assert 300 not in ids
    assert ids[-1] == 256
    assert tokenizer.decode([*ids, 300, 299]) == MENTION + "th"
    with pytest.raises(InputError, match=r"unknown to tiktoken, which knows .*words"):
        load_tokenizer("tiktoken:wrods")


# Patterns.


def _pattern(regex: str) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        split = {
            "type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False
        }  # fmt: skip
        levels = {**document["pre_tokenizer"], "use_regex": False}
        document["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [split, levels]}

    return edit


@pytest.mark.parametrize(
    ("length", "words"), [(22, "was not tokenized within"), (400, "gave up on some of the text")]
)
def test_a_pattern_that_backtracks_without_end_is_bounded_and_named(
    length: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokenizer = load_tokenizer(saved(tmp_path, "plain.json", _pattern("(a+)+b")))
    if length == 22:
        monkeypatch.setattr("workbench.data.json_tokenizer.PATIENCE_SECONDS", 0.0)
    with pytest.raises(InputError, match=words) as refused:
        tokenizer.encode([("a" * length + "c") * 8 + "b"])
    assert "(a+)+b" in str(refused.value)


# What does not come back.


def test_text_that_ids_do_not_hold_is_counted(tmp_path: Path) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["normalizer"] = {"type": "Lowercase"}

    corpus = tmp_path / "titles.jsonl"
    lines = [json.dumps({"text": f"The Willow {text}"}) for text in TEXTS]
    corpus.write_text("\n".join(lines))
    prepared = prepare(data(corpus, saved(tmp_path, "plain.json", edit)), tmp_path)
    counts = prepared.seen["round_trip"]
    assert counts["changed"] == counts["texts"] > 10
    assert (counts["lost"], counts["lost_white"]) == (2 * counts["texts"], 0)
    again = find_prepared(data(corpus, str(tmp_path / "edited.json")), tmp_path)
    assert again.seen == prepared.seen


@pytest.mark.parametrize("letters", ["ж", "树"])
def test_a_tokenizer_without_tokens_for_the_text_is_refused(letters: str, tmp_path: Path) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["pre_tokenizer"] = {"type": "Whitespace"}
        document["decoder"] = None

    corpus = tmp_path / "foreign.jsonl"
    corpus.write_text(
        "\n".join(json.dumps({"text": f"word {letters * 40} {i}"}) for i in range(99))
    )
    with pytest.raises(InputError, match=rf"letters, such as '{letters}', do not come back"):
        prepare(data(corpus, saved(tmp_path, "plain.json", edit)), tmp_path)
    assert not list((tmp_path / "data").glob("*/manifest.json"))


def test_a_byte_level_file_without_a_decoder_loses_nothing(tmp_path: Path) -> None:
    def edit(document: dict[str, Any]) -> None:
        document["decoder"] = None

    spec = saved(tmp_path, "plain.json", edit)
    text = "déjà  vu\n树"
    assert load_tokenizer(spec).decode(ids_of(spec, text)) == text


def test_a_tokenizer_that_was_edited_is_not_taken_for_the_one_that_made_the_shards() -> None:
    was = load_tokenizer("bytes").identity
    assert load_same_tokenizer("bytes", was, "this run").identity == was
    with pytest.raises(InputError, match="ids are others than this run was trained with"):
        load_same_tokenizer(str(FILES / "plain.json"), was, "this run")
