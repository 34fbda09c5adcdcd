"""A run's records in real trackers: equal to the store's, each step once, and never in the way."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

from tests.made_runs import MakeRun
from workbench.errors import InputError
from workbench.planning.plan import plan_study
from workbench.planning.prepare import prepare_study
from workbench.recipe import load_recipe
from workbench.recipe.tracking import TRACKERS, TrackingConfig
from workbench.running.study import make_folders
from workbench.runs.folder import RunFolder
from workbench.runs.records import RecordWriter
from workbench.store import ingest, query
from workbench.tracking import mirror
from workbench.tracking.rows import Rows
from workbench.tracking.settings import note_trackers, trackers_of
from workbench.tracking.start import _started, mirrored
from workbench.tracking.wandb_records import WandbFile

Points = dict[tuple[str, int], float]
SECRET = "c0ffee-is-no-key-of-anybody"
TENSORBOARD = TrackingConfig(kind="tensorboard")
WANDB = TrackingConfig(kind="wandb", mode="offline")
EVALUATED = (4, 8, 12)


def value(metric: str, step: int) -> float:
    return len(metric) + 1 / (step + 3)


def record(writer: RecordWriter, steps: range, *, cut: bool = False) -> None:
    """Records of some steps; with `cut`, the last step's evaluation is missing."""
    for step in steps:
        names = ["train_loss", "lr"] + ["val_loss"] * (step in EVALUATED)
        for name in names[: -1 if cut and step == steps[-1] else None]:
            writer.write(
                step=step, tokens=step * 64, epoch=step / 7, flops=step * 1e9, metric=name,
                value=value(name, step), stderr=0.25 if name == "val_loss" else None,
                estimator="nll",
            )  # fmt: skip
        writer.flush(fsync=False)


def stored(results: Path) -> Points:
    """Every number that the store has."""
    ingest(results)
    frame = query(results, "SELECT metric, step, value FROM metrics WHERE value IS NOT NULL")
    return {(row["metric"], row["step"]): row["value"] for row in frame.to_dicts()}


def in_tensorboard(folder: Path) -> Points:
    """What TensorBoard shows of a folder; it fails where a step stands twice."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    points: Points = {}
    for name in events.Tags()["scalars"]:
        steps = [event.step for event in events.Scalars(name)]
        assert steps == sorted(set(steps)), name
        points |= {(name, event.step): event.value for event in events.Scalars(name)}
    return points


def in_wandb(results: Path, run_id: str) -> Points:
    """What `wandb sync` would send of all starts of a run; it fails where a step stands twice."""
    points: Points = {}
    last = 0
    for path in sorted((results / "wandb").glob(f"offline-run-*/run-{run_id}.wandb")):
        for content in WandbFile(path).records():
            one = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
            one.ParseFromString(content)
            if one.WhichOneof("record_type") != "history":
                continue
            step = one.history.step.num
            assert step > last
            last = step
            for item in one.history.item:
                name = item.key or "/".join(item.nested_key)
                points[name, step] = json.loads(item.value_json)
    return points


def metrics_of(points: Points) -> Points:
    """Without the trackers' own columns: standard errors, progress and time."""
    return {key: value for key, value in points.items() if "/" not in key[0] and key[0][0] != "_"
            and key[0] != "time"}  # fmt: skip


def killed(run: RunFolder) -> None:
    """A start that records up to an evaluation's step, which is cut short, and is then killed."""
    process = _started(run.path, run.records_path)
    assert process
    assert process.stdin
    writer = RecordWriter(run.records_path)
    record(writer, range(1, 9), cut=True)
    writer.close()
    process.stdin.close()  # as the kernel does
    assert process.wait(60) == 0


@pytest.mark.slow
def test_a_killed_run_goes_on_in_its_trackers_with_each_number_of_the_store_once(
    results: Path, make_run: MakeRun, capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    run = make_run("aaaaaaaaaaaa", {})
    note_trackers([run], "made", (TENSORBOARD, WANDB))
    killed(run)
    with mirrored(run.path, run.records_path, finished=0) as ending:
        writer = RecordWriter(run.records_path)
        record(writer, range(7, 13))  # the checkpoint was after step 6
        writer.close()
        ending.code = 0
    ours = stored(results)
    assert len(ours) == 12 + 12 + len(EVALUATED)
    shown = metrics_of(in_tensorboard(results / "tensorboard" / run.run_id))
    assert shown == pytest.approx(ours, rel=1e-6)  # single precision
    assert metrics_of(in_wandb(results, run.run_id)) == ours
    assert "Warning" not in capfd.readouterr().err
    for path in results.rglob("*"):
        assert path.is_dir() or SECRET.encode() not in path.read_bytes(), path


@pytest.mark.slow
def test_in_another_project_a_run_begins_anew_and_nothing_says_where_it_was_trained(
    results: Path, make_run: MakeRun
) -> None:
    run = make_run("aaaaaaaaaaaa", {})
    projects = [("one", None), ("two", None), ("two", "us"), ("two", "them")]
    for start, (project, entity) in enumerate(projects):
        tracker = WANDB.model_copy(update={"project": project, "entity": entity})
        note_trackers([run], "made", (tracker,))
        with mirrored(run.path, run.records_path, finished=0):
            writer = RecordWriter(run.records_path)
            record(writer, range(3 * start + 1, 3 * start + 4))
            writer.close()
    steps: dict[tuple[str, str], list[int]] = {}
    for path in sorted((results / "wandb").glob("offline-run-*/run-*.wandb")):
        assert not any((path.parent / "files").iterdir())
        for content in WandbFile(path).records():
            one = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
            one.ParseFromString(content)
            if one.WhichOneof("record_type") == "run":
                assert not one.run.host
                own = steps.setdefault((one.run.project, one.run.entity), [])
            elif one.WhichOneof("record_type") == "history":
                own.append(one.history.step.num)
    assert steps == {
        ("one", ""): [1, 2, 3],
        ("two", ""): [*range(1, 7)],
        ("two", "us"): [7, 8, 9],
        ("two", "them"): [*range(7, 13)],  # those before wait for whom the user is
    }


@pytest.mark.slow
def test_trackers_that_come_later_get_what_was_measured_before(
    results: Path, make_run: MakeRun
) -> None:
    run = make_run("aaaaaaaaaaaa", {})
    writer = RecordWriter(run.records_path)
    record(writer, range(1, 5))
    writer.flush(fsync=False)
    note_trackers([run], "made", (TENSORBOARD,))
    with mirrored(run.path, run.records_path, finished=0):
        record(writer, range(5, 9))
        writer.close()
    shown = metrics_of(in_tensorboard(results / "tensorboard" / run.run_id))
    assert shown == pytest.approx(stored(results), rel=1e-6)


@pytest.mark.slow
def test_a_tracker_that_fails_costs_one_line_and_no_other_tracker(
    results: Path, make_run: MakeRun, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    run = make_run("aaaaaaaaaaaa", {})
    (tmp_path / "file").touch()
    broken = TrackingConfig(kind="tensorboard", folder=str(tmp_path / "file"))
    note_trackers([run], "made", (TrackingConfig(kind="trackio"), broken, TENSORBOARD))
    with mirrored(run.path, run.records_path, finished=0):
        writer = RecordWriter(run.records_path)
        record(writer, range(1, 5))
        writer.close()
    lines = [line for line in capfd.readouterr().err.splitlines() if "Warning: tracking" in line]
    assert [line.split()[2] for line in lines] == ["trackio", "tensorboard"]
    assert "pip install 'workbench[trackio]'" in lines[0]
    assert in_tensorboard(results / "tensorboard" / run.run_id)


def test_a_damaged_file_of_trackers_is_a_warning_and_no_end_of_the_run(
    results: Path, make_run: MakeRun, capsys: pytest.CaptureFixture[str]
) -> None:
    run = make_run("aaaaaaaaaaaa", {})
    (run.path / "tracking.json").write_text('{"trackers": [{"kind": "abacus"}]}')
    with mirrored(run.path, run.records_path, finished=0):
        pass
    assert "Warning: tracking: this run is not shown" in capsys.readouterr().err
    with pytest.raises(InputError, match="is no list of trackers"):
        trackers_of(run.path)


@given(
    st.lists(st.tuples(st.integers(1, 12), st.booleans()), max_size=5),
    st.integers(0, 12),
)
def test_rows_are_those_of_an_undisturbed_run_wherever_it_was_killed(
    kills: list[tuple[int, bool]], saved: int
) -> None:
    """Each start goes on from a checkpoint and may be killed amid a step; a tracker keeps rows."""
    lines: list[bytes] = []
    kept: dict[int, dict[str, float]] = {}
    checkpoint = 0
    for last, amid in [*kills, (12, False)]:
        if last <= checkpoint:
            continue
        new: list[bytes] = []
        for step in range(checkpoint + 1, last + 1):
            for metric in ("a", "b")[: 1 if amid and step == last else 2]:
                document = {"step": step, "metric": metric, "value": value(metric, step)}
                new.append(json.dumps(document).encode())
        rows = Rows(max(kept, default=0), lines)
        delivered = [*rows.add(new), *(rows.end() if last == 12 and not amid else ())]
        for step, values in delivered:
            assert step not in kept
            kept[step] = values
        lines += new
        checkpoint = min(max(checkpoint, saved), last - amid)
    whole = {step: {"a": value("a", step), "b": value("b", step)} for step in range(1, 13)}
    assert kept == whole


def test_a_second_estimator_of_a_metric_has_a_name_of_its_own() -> None:
    lines = [
        json.dumps({"step": 1, "metric": "m", "value": number, "estimator": estimator}).encode()
        for number, estimator in ((1.0, "nll"), (2.0, "nelbo"), (None, "other"))
    ]
    rows = Rows(0)
    assert [*rows.add([*lines, b"no record", b"[]"]), *rows.end()] == [
        (1, {"m": 1.0, "m (nelbo)": 2.0})
    ]


def test_an_error_is_written_without_the_values_of_variables_that_hold_keys(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", SECRET)
    text = mirror._text(ValueError(f"401 for\nhttps://user:{SECRET}@host"))
    assert text == "ValueError: 401 for https://user:<WANDB_API_KEY>@host"


def with_tracking(recipe: Path, text: str) -> Path:
    path = recipe.with_name("tracked.toml")
    path.write_text(recipe.read_text() + text)
    return path


def test_trackers_are_no_part_of_a_run(recipe: Path, tmp_path: Path) -> None:
    tables = '\n[[tracking]]\nkind = "tensorboard"\n[[tracking]]\nkind = "wandb"\nentity = "us"\n'
    plain, tracked = load_recipe(recipe), load_recipe(with_tracking(recipe, tables))
    assert [one.kind for one in tracked.tracking] == ["tensorboard", "wandb"]
    assert plain.tracking == ()
    ids = [
        [run.run_id for run in prepare_study(one, tmp_path / "results").runs]
        for one in (plain, tracked)
    ]
    assert ids[0] == ids[1]
    assert plan_study(tracked, tmp_path / "results").runs
    one = load_recipe(recipe, ["tracking.kind=trackio", "tracking.project=mine"]).tracking
    assert [(table.kind, table.project) for table in one] == [("trackio", "mine")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[tracking]\nkind = "wand"\n', "tracking.kind"),
        (f'[tracking]\nkind = "wandb"\napi_key = "{SECRET}"\n', "unknown key tracking.api_key"),
        ('[tracking]\nproject = "x"\n', "tracking.kind is missing"),
        ("tracking = 3\n", "tracking"),
        *(
            (f'[[tracking]]\nkind = "{kind}"\n' * 2, f"1 and 2 of [[tracking]] are both {kind}")
            for kind in TRACKERS
        ),
        (
            '[[tracking]]\nkind = "wandb"\n[[tracking]]\nkind = "tensorboard"\nfolder = "a"\n'
            '[[tracking]]\nkind = "tensorboard"\n[[tracking]]\nkind = "wandb"\nproject = "b"\n',
            "tables 1 and 4 of [[tracking]] are both wandb",
        ),
    ],
)
def test_wrong_tables_are_refused_and_keys_never_repeated(
    recipe: Path, text: str, message: str
) -> None:
    path = recipe.with_name("tracked.toml")
    path.write_text(text + recipe.read_text() if text[0] != "[" else recipe.read_text() + text)
    with pytest.raises(InputError) as error:
        load_recipe(path)
    assert message in str(error.value)
    assert SECRET not in str(error.value)


def test_every_kind_has_its_module_with_a_tracker() -> None:
    kinds = TrackingConfig.model_fields["kind"].annotation
    assert set(TRACKERS) == set(kinds.__args__)
    folder = Path(mirror.__file__).parent
    for module in TRACKERS.values():
        assert "class Tracker:" in (folder / f"{module.rpartition('.')[2]}.py").read_text()


@pytest.mark.training
def test_a_run_of_a_recipe_is_mirrored_as_it_trains(recipe: Path, tmp_path: Path) -> None:
    from workbench.running import worker

    results = tmp_path / "results"
    study = load_recipe(
        with_tracking(recipe, '\n[tracking]\nkind = "tensorboard"\n'),
        ["training.objective=ar"],
    )
    (run,) = make_folders(study, prepare_study(study, results), results).values()
    assert worker.main(run.path) == worker.FINISHED
    shown = metrics_of(in_tensorboard(results / "tensorboard" / run.run_id))
    assert shown == pytest.approx(stored(results), rel=1e-6)
    assert {"train_loss", "val_loss", "cloze_acc", "lr"} <= {name for name, _ in shown}
    assert "tensorboard" not in json.dumps(run.config_json()["config"])


def wait_for(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.training
@pytest.mark.long
def test_a_worker_that_is_killed_goes_on_in_the_same_runs(recipe: Path, tmp_path: Path) -> None:
    from workbench.running import worker

    results = tmp_path / "results"
    tables = (
        '\n[[tracking]]\nkind = "tensorboard"\n[[tracking]]\nkind = "wandb"\nmode = "offline"\n'
    )
    study = load_recipe(
        with_tracking(recipe, tables),
        ["training.objective=ar", "training.total_tokens=204_800", "training.checkpoint_every=40"],
    )
    (run,) = make_folders(study, prepare_study(study, results), results).values()
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "workbench.running.worker", str(run.path)], stdout=log, stderr=log
    )
    wait_for(lambda: run.records_path.exists() and b'"step":60,' in run.records_path.read_bytes())
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert worker.main(run.path) == worker.FINISHED
    ours = stored(results)
    shown = metrics_of(in_tensorboard(results / "tensorboard" / run.run_id))
    assert shown == pytest.approx(ours, rel=1e-6)
    # W&B keeps a step as it was first written: the speed is that of the attempt that was killed.
    theirs = metrics_of(in_wandb(results, run.run_id))
    assert theirs.keys() == ours.keys()
    speed = {key for key in ours if key[0] == "tokens_per_second"}
    assert {k: v for k, v in theirs.items() if k not in speed} == {
        k: v for k, v in ours.items() if k not in speed
    }
