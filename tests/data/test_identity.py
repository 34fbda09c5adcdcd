"""What was there before is still what it was: ids since protocol 2, shards and training windows
since the first release."""

import hashlib
from pathlib import Path

from tests.data.test_preparation import config
from workbench.data.preparation import prepare
from workbench.data.streams import training_stream
from workbench.planning.plan import run_id_of
from workbench.recipe import load_recipe


def test_the_quickstarts_run_ids_are_those_that_protocol_2_began_with() -> None:
    runs = [
        run.model_copy(update={"model": run.model.model_copy(update={"vocab_size": 264})})
        for run in load_recipe("quickstart").runs
    ]
    assert [run_id_of(run, "0" * 64) for run in runs] == [
        "044525e061c7", "d0b0c733df48", "8fe1d7eac9fe", "74cbe91cb44a",
    ]  # fmt: skip


def test_a_recipe_that_leaves_compiling_to_the_workbench_has_the_id_of_before() -> None:
    def ids(value: str) -> list[str]:
        runs = load_recipe("quickstart", [f"training.compile={value}"]).runs
        return [run_id_of(run, "0" * 64) for run in runs]

    assert ids('"auto"') == ids("false")
    assert not {*ids("true")} & {*ids("false")}


def test_shards_and_windows_are_those_of_the_first_release(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_text("".join(f"line number {i} of many\n" for i in range(300)))
    data = config(path, unique_tokens=640, seed=3)
    prepared = prepare(data, tmp_path)
    assert prepared.fingerprint == (
        "3bcbd9ab9a024ca22741f32c28fac4cd30a7423ee8df40c2ab93fe2d095baaa8"
    )
    batch = training_stream(prepared, data, order_seed=5).batch(50, 100)
    digest = hashlib.sha256(batch.tokens.tobytes() + batch.epoch.tobytes() + batch.sample.tobytes())
    assert digest.hexdigest() == "20a618125601280d7560f24699ac9a8c9f66b2df6dcbfb9cb17c52d42cd46173"
