"""A plug-in's corpus is prepared as any other, and anew when its numbers change."""

import sys
from pathlib import Path

import pytest

from tests.conftest import InstallPlugin
from workbench.data import find_prepared
from workbench.data.corpora import open_corpus
from workbench.data.preparation import prepare
from workbench.errors import InputError
from workbench.recipe import DataConfig

MODULE = """
from workbench.data.readers import Piece
from workbench.recipe.declarations import CorpusPlugin

DECLARED = CorpusPlugin(numbers={numbers}, code="{module}:Tales")


class Tales:
    def __init__(self, argument, *, document, text_key, quality_key=None):
        if argument == "none":
            raise KeyError(argument)
        self.argument = argument

    def pieces(self):
        for number in range(40):
            if self.argument == "torn" and number == 7:
                raise OSError("torn")
            yield Piece(f"{{self.argument}} tale {{number}} of numbers {numbers}", True)

    def signature(self):
        return self.argument
"""


def install(install_plugin: InstallPlugin, numbers: int = 1) -> None:
    sys.modules.pop("taler", None)
    install_plugin(
        "taler",
        {"corpora": {"tales": "taler:DECLARED"}},
        {"taler": MODULE.format(numbers=numbers, module="taler")},
    )


def data(corpus: str) -> DataConfig:
    return DataConfig(corpus=corpus, unique_tokens=64, seq_len=16, validation_tokens=64)


def test_a_corpus_of_a_plug_in_is_prepared_and_found_again(
    tmp_path: Path, install_plugin: InstallPlugin
) -> None:
    install(install_plugin)
    made = prepare(data("tales:long"), tmp_path)
    assert b"long tale " in bytes(made.train().astype("uint8"))
    found = find_prepared(data("tales:long"), tmp_path)
    assert found is not None
    assert found.folder == made.folder
    assert find_prepared(data("tales:short"), tmp_path) is None


def test_other_numbers_prepare_the_corpus_anew(
    tmp_path: Path, install_plugin: InstallPlugin
) -> None:
    install(install_plugin)
    before = prepare(data("tales"), tmp_path)
    install(install_plugin, numbers=2)
    assert find_prepared(data("tales"), tmp_path) is None
    after = prepare(data("tales"), tmp_path)
    assert after.fingerprint != before.fingerprint
    assert b"numbers 2" in bytes(after.train().astype("uint8"))


@pytest.mark.parametrize("argument", ["none", "torn"])
def test_a_plug_in_that_fails_is_named(
    tmp_path: Path, install_plugin: InstallPlugin, argument: str
) -> None:
    install(install_plugin)
    with pytest.raises(InputError, match=r"the corpus tales \(package taler 1.0.*\) failed: "):
        prepare(data(f"tales:{argument}"), tmp_path)


def test_a_file_of_a_plug_ins_name_is_not_taken_for_it_or_the_other_way_round(
    tmp_path: Path, install_plugin: InstallPlugin, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(install_plugin)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tales").mkdir()
    (tmp_path / "tales" / "a.txt").write_text("from the file")

    def text(corpus: str) -> str:
        pieces = open_corpus(corpus, document="file", text_key="text").pieces()
        return next(iter(pieces)).text

    with pytest.raises(InputError, match=r'Write "./tales" for the file, or "tales:"'):
        text("tales")
    assert text("./tales") == "from the file"
    assert text("tales:") == " tale 0 of numbers 1"
