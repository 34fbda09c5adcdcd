"""Rehearsals of a small recipe at the paper's width, each in a process of its own and once a
session. Fake tensors take no memory: two layers of the 1B cost what two layers of 0.2M do."""

from collections.abc import Callable, Iterator

import pytest

from workbench.errors import InputError
from workbench.planning.gpus import GPUS
from workbench.planning.plan import plan_study
from workbench.recipe import RunConfig, load_recipe
from workbench.rehearsal.counts import Rehearsal
from workbench.rehearsal.libraries import built_libraries
from workbench.rehearsal.start import Stage

RECIPE = """
[study]
name = "rehearsed"

[data]
corpus = "none"
tokenizer = "tokenizers/gpt2.json"
unique_tokens = 1_000_000
seq_len = 64
validation_tokens = 100_000

[model]
width = 1024
layers = 2
heads = 8
ffn = 2816
vocab_size = 50_259

[training]
objective = "ar"
block_size = 16
uniform_noise = 0.1
total_tokens = 10_000_000
batch_size = 256
micro_batch_size = 128
lr = 1e-4
dtype = "bfloat16"

[evaluation]
tasks = ["cloze"]
"""

Rehearse = Callable[..., tuple[RunConfig, Rehearsal]]


@pytest.fixture(scope="session")
def rehearse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearse]:
    """Rehearse the recipe with keys set; the same keys give the same rehearsal again."""
    folder = tmp_path_factory.mktemp("rehearsal")
    path = folder / "rehearsed.toml"
    path.write_text(RECIPE)
    done: dict[tuple, tuple[RunConfig, Rehearsal]] = {}
    try:
        context = built_libraries()
        libraries = context.__enter__()
    except InputError as error:
        pytest.skip(str(error))

    def rehearsed(
        *overrides: str, program: str | None = None, compiled: bool = False, **options: bool
    ) -> tuple[RunConfig, Rehearsal]:
        key = (*overrides, program, compiled, *options.items())
        if key not in done:
            (run,) = plan_study(load_recipe(path, list(overrides)), folder).runs
            stage = Stage(libraries) if program is None else Stage(libraries, program)
            found = stage.rehearse(run.config, GPUS["h100"], compiled=compiled, **options)
            done[key] = run.config, found
        return done[key]

    yield rehearsed
    context.__exit__(None, None, None)
