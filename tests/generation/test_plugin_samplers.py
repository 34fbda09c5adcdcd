"""Samplers of plug-ins: beside the built-in ones, for the models that they name."""

import pytest

from tests.conftest import InstallPlugin
from workbench.errors import InputError
from workbench.generation.samplers import SAMPLERS, choose_sampler, sampler_label, samplers_of
from workbench.generation.settings import Settings

MODULE = """
from workbench.recipe.plugins import SamplerPlugin

DECLARED = SamplerPlugin(
    numbers=4, code="chooser:fill", objectives=("mdlm", "extra"), reads=("steps",)
)


def fill(network, canvas, settings, randomness):
    raise NotImplementedError
"""


@pytest.fixture(autouse=True)
def _installed(install_plugin: InstallPlugin) -> None:
    install_plugin("chooser", {"samplers": {"chosen": "chooser:DECLARED"}}, {"chooser": MODULE})
    install_plugin("broken", {"samplers": {"brittle": "broken_sampler:D"}})


def test_a_sampler_of_a_plug_in_comes_after_those_of_the_objective() -> None:
    assert samplers_of("mdlm") == [
        "ancestral",
        "ancestral-blocks",
        "confidence",
        "blocks",
        "chosen",
    ]
    assert samplers_of("ar") == ["ar"]
    assert choose_sampler(None, "mdlm").name == "ancestral"
    chosen = choose_sampler("chosen", "mdlm")
    assert (chosen.numbers, chosen.reads, chosen.fill.__name__) == (4, ("steps",), "fill")
    chosen.check("mdlm", Settings(steps=3))
    with pytest.raises(InputError, match="which takes ar"):
        chosen.check("ar", Settings())


def test_its_numbers_are_part_of_how_a_number_was_estimated() -> None:
    assert sampler_label("chosen") == "chosen/numbers=4"
    assert sampler_label("ar") == "ar"
    assert sampler_label(None) == "default"


def test_one_that_cannot_be_imported_is_named_where_it_is_asked_for() -> None:
    with pytest.raises(InputError, match="No module named 'broken_sampler'"):
        choose_sampler("brittle", "mdlm")
    assert set(SAMPLERS) >= {"brittle", "chosen", "ar"}
    with pytest.raises(InputError, match="did you mean 'chosen'"):
        choose_sampler("chozen", "mdlm")


def test_one_that_shadows_a_built_in_is_refused(install_plugin: InstallPlugin) -> None:
    install_plugin("shadow", {"samplers": {"ancestral": "shadow:D"}})
    with pytest.raises(InputError, match=r"the workbench itself; package shadow 1\.0"):
        choose_sampler(None, "mdlm")
