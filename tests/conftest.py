"""Fixtures shared by all tests: a small corpus, a small recipe, the command line."""

import gc
import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from tests.markers import add_markers, check_marker
from workbench.running.environment import compiled_code

if TYPE_CHECKING:
    from workbench.runs.folder import RunFolder

pytest_plugins = ["tests.made_runs"]  # its fixtures `make_run` and `results`

# As workers do: this process trains too, and torch hands its own choice of a folder to children.
os.environ.update(compiled_code())

# Examples take as long as the machine is busy: time is no property here.
settings.register_profile("workbench", deadline=None)
settings.load_profile("workbench")

WORDS = [
    "def",
    "class",
    "return",
    "import",
    "lambda",
    "yield",
    "raise",
    "assert",
    "value",
    "index",
    "result",
    "token",
    "model",
    "batch",
    "window",
    "epoch",
    "string",
    "number",
    "object",
    "method",
    "buffer",
    "stream",
    "parser",
    "reader",
    "writer",
    "state",
]


_TOGETHER = (
    ("tests/end_to_end/test_crashes.py", "tests/end_to_end/test_failures.py"),
    ("tests/app/",), ("tests/running/slurm/",), ("tests/evaluation/",),
)  # fmt: skip
"""Files and folders whose tests share what takes long to make."""
_LONG = (
    *_TOGETHER[0], "tests/app/", "tests/end_to_end/test_parallel.py", "tests/running/slurm/",
    "tests/end_to_end/", "tests/evaluation/",
)  # fmt: skip
"""What takes minutes: what trains with several processes beside what mostly waits, a browser or
a scheduler."""


@pytest.hookimpl(tryfirst=True)  # before `-m` selects
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what each test needs. What takes minutes begins first, so that no core is left with
    it at the end."""
    for item in items:
        add_markers(item)

    def place(item: pytest.Item) -> int:
        return next((i for i, long in enumerate(_LONG) if item.nodeid.startswith(long)), len(_LONG))

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A test that trains has to carry the marker that says so."""
    result = yield
    check_marker(item)
    return result


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n`: a file's tests in one process, and those that share in one too."""
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return next((places[0] for places in _TOGETHER if file.startswith(places)), file)

    config.option.loadscopereorder = False  # by the number of tests, which tells nothing of time
    return ByFile(config, log)


@pytest.fixture(autouse=True)
def _collect_garbage() -> Iterator[None]:
    """Titan's trainer turns the collection of garbage off for its process."""
    yield
    gc.enable()


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 short documents of pseudo-code, some of them twice."""
    rng = random.Random(0)
    folder = tmp_path_factory.mktemp("corpus")
    documents = []
    for _ in range(200):
        words = rng.choices(WORDS, weights=range(1, len(WORDS) + 1), k=rng.randint(40, 120))
        documents.append(" ".join(words))
    documents += documents[:5]
    (folder / "text.txt").write_text("\n\n".join(documents) + "\n")
    return folder / "text.txt"


RECIPE = """
[study]
name = "tiny"
question = "Does it run?"

[data]
corpus = "{corpus}"
document = "blank-line"
unique_tokens = 2_048
seq_len = 32
validation_tokens = 2_048

[model]
width = 32
layers = 2
heads = 2

[training]
objective = "ar"
total_tokens = 6_144
batch_size = 16
lr = 3e-3
log_every = 1

[evaluation]
points = 3
tasks = ["cloze"]
cloze_questions = 16

[sweep]
"training.objective" = ["ar", "mdlm"]
"""


@pytest.fixture
def recipe(tmp_path: Path, corpus: Path) -> Path:
    """A recipe of two runs of 12 steps, seconds in all."""
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE.format(corpus=corpus))
    return path


TrainedRuns = dict[str, "RunFolder"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, corpus: Path) -> TrainedRuns:
    """A finished run of each objective, by its name, and one "untrained". Leave them as they
    are."""
    from workbench.planning.prepare import prepare_study
    from workbench.recipe import OBJECTIVES, load_recipe
    from workbench.running import worker
    from workbench.running.study import make_folders

    folder = tmp_path_factory.mktemp("trained")
    path = folder / "tiny.toml"
    text = RECIPE.format(corpus=corpus).replace('["ar", "mdlm"]', json.dumps(list(OBJECTIVES)))
    text = text.replace("lr = 3e-3", "lr = 3e-3\nblock_size = 8\nuniform_noise = 0.1")
    path.write_text(text + '"training.seed" = [0, 1]\n')
    recipe = load_recipe(path)
    named = {}
    for run in make_folders(recipe, prepare_study(recipe, folder), folder).values():
        training = run.config_json()["config"]["training"]
        if training["seed"] == 0:
            assert worker.main(run.path) == worker.FINISHED
            named[training["objective"]] = run
        else:
            named["untrained"] = run
    gc.enable()  # titan's trainer turns it off for its process
    return named


InstallPlugin = Callable[..., None]


@pytest.fixture
def install_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[InstallPlugin]:
    """Install packages with entry points, as `tests.plugins.write_package` takes them, for this
    test and the processes that it starts."""
    from tests.plugins import write_package

    imported, count = set(sys.modules), itertools.count()

    def install(name: str, entry_points: Any, modules: Any = None, **more: Any) -> None:
        folder = tmp_path / f"site-{next(count)}"
        write_package(folder, name, entry_points, modules, **more)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)

    yield install
    for module in set(sys.modules) - imported:
        if str(getattr(sys.modules[module], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[module]


Workbench = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def workbench(tmp_path: Path) -> Workbench:
    """Run the command line in a process of its own, in an empty folder."""

    def run(*arguments: str | Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "workbench.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            cwd=tmp_path,
        )

    return run
