"""Folders of event files: which of them are one run, and what a run that was resumed has."""

import struct
from pathlib import Path

import pytest
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from tests.importing.conftest import WriteEvents
from workbench.errors import InputError
from workbench.importing.event_records import LARGEST
from workbench.importing.importer import read_source
from workbench.importing.points import Points
from workbench.importing.request import Request

HERE = Path(__file__).parent
CASES = HERE / "logs"
Curves = dict[str, list[tuple[int, float]]]


def curves(points: Points) -> Curves:
    """metric -> (step, value) of all runs."""
    frame = points.frame.sort("metric", "step").select("metric", "step", "value")
    found: Curves = {}
    for metric, step, value in frame.rows():
        found.setdefault(metric, []).append((step, round(value, 4)))
    return found


def read(source: Path, **columns: str) -> Points:
    return read_source(source, Request(columns=columns, units={"total_tokens": 1}))


def noted(points: Points, *words: str) -> bool:
    return any(all(word in note for word in words) for note in points.notes)


# ---------------------------------------------------------------- hyperparameters


@pytest.mark.parametrize("columns", [{}, {"tokens_per_step": "1000"}])
def test_a_folder_of_hyperparameters_is_no_run(columns: dict[str, str]) -> None:
    points = read(CASES / "hparams-subfolder", **columns)
    assert points.frame["metric"].unique().to_list() == ["val_loss"]
    runs = points.frame.select("objective", *points.labels).unique()
    assert sorted(runs["objective"]) == ["ar", "mdlm"]
    assert noted(points, "1795871129.4677436", "no step but 0")


@pytest.mark.parametrize("folder", ["1b_2e_ar_1b/1795871129.46", "1b_2e_ar_1b/sweep/hparams"])
def test_nor_is_one_below_it_at_any_depth_or_under_any_name(
    source: Path, write_events: WriteEvents, folder: str
) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0, 2: 5.0}})
    write_events(folder, {"hparam/val_loss": {0: 5.0}})
    assert curves(read(source)) == {"val_loss": [(1, 6.0), (2, 5.0)]}


def test_a_run_of_its_own_with_step_0_alone_costs_itself(
    source: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0, 2: 5.0}})
    write_events("1b_2e_difflm_1b", {"val_loss": {0: 7.0}})
    points = read(source)
    assert curves(points) == {"val_loss": [(1, 6.0), (2, 5.0)]}
    assert noted(points, "1b_2e_difflm_1b", "step 0")


# ---------------------------------------------------------------- negative values


def test_a_metric_that_is_no_loss_of_ours_can_be_negative() -> None:
    found = curves(read(CASES / "negative-loss-tag"))
    assert found["val_loss"][-1] == (50, 4.5)
    assert found["loss-change"][-1] == (50, -0.01)


@pytest.mark.parametrize("tag", ["train/loss", "validation/loss"])
def test_a_loss_below_zero_costs_that_metric_alone(
    source: Path, write_events: WriteEvents, tag: str
) -> None:
    write_events("1b_2e_ar_1b", {tag: {1: 6.0, 2: -5.0}, "elbo_loss_term": {1: -3.0, 2: -2.0}})
    points = read(source)
    assert curves(points) == {"elbo_loss_term": [(1, -3.0), (2, -2.0)]}
    assert noted(points, "_loss at step 2 is -5", "never negative")


# ---------------------------------------------------------------- resuming


def test_points_that_a_resumed_run_purged_are_left_out() -> None:
    points = read(CASES / "purged-steps")
    found = curves(points)["val_loss"]
    assert (len(found), found[-1]) == (13, (130, 2.7))
    assert points.frame["total_tokens"].max() == 10_000_000
    assert noted(points, "begins again at step 100", "6 points")


def test_a_restart_is_seen_without_its_mark(source: Path, write_events: WriteEvents) -> None:
    rising = {step: 10.0 - step for step in range(1, 9)}
    write_events("1b_2e_ar_1b", {"train/loss": rising, "val_loss": {4: 6.5, 8: 2.5}}, at=1.0)
    write_events("1b_2e_ar_1b", {"train/loss": {5: 5.5, 6: 4.5}}, at=2.0)
    points = read(source)
    assert curves(points)["train_loss"] == [(1, 9), (2, 8), (3, 7), (4, 6), (5, 5.5), (6, 4.5)]
    assert curves(points)["val_loss"] == [(4, 6.5)]
    assert noted(points, "begins again at step 5", "to step 8")


def test_a_later_evaluation_of_old_checkpoints_is_no_restart(
    source: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1b", {"train/loss": {s: 9.0 - s for s in range(1, 9)}}, at=1.0)
    write_events("1b_2e_ar_1b", {"val_loss": {2: 7.0, 4: 5.0}}, at=2.0)
    write_events("1b_2e_ar_1b", {"val_loss": {3: 6.0}}, at=3.0)
    found = curves(read(source))
    assert len(found["train_loss"]) == 8
    assert found["val_loss"] == [(2, 7.0), (3, 6.0), (4, 5.0)]


def test_a_marked_restart_counts_even_with_a_single_point(
    source: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0, 2: 5.0, 3: 4.0}}, at=1.0)
    write_events("1b_2e_ar_1b", {"val_loss": {2: 5.5}}, at=2.0, start=2)
    assert curves(read(source)) == {"val_loss": [(1, 6.0), (2, 5.5)]}


def test_steps_that_go_back_within_a_file_are_noted(
    source: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {3: 4.0, 1: 6.0, 2: 5.0}})
    points = read(source)
    assert curves(points) == {"val_loss": [(1, 6.0), (2, 5.0), (3, 4.0)]}
    assert noted(points, "go back from 3 to 1")


@pytest.mark.parametrize(
    "starts",
    [("20260131-1200", "20260201-0900"), ("Nov30_23-00-00_host", "Dec01_08-00-00_host")],
)
def test_a_start_that_goes_on_where_one_beside_it_was_is_one_run(
    source: Path, write_events: WriteEvents, starts: tuple[str, str]
) -> None:
    write_events(f"1b_2e_ar_1b/tb/{starts[0]}", {"train/loss": {1: 9.0, 2: 8.0, 3: 7.0}}, at=1.0)
    write_events(f"1b_2e_ar_1b/tb/{starts[1]}", {"train/loss": {3: 7.5, 4: 6.0}}, at=2.0)
    points = read(source)
    assert curves(points)["train_loss"] == [(1, 9.0), (2, 8.0), (3, 7.5), (4, 6.0)]
    assert noted(points, starts[1], "goes on")
    assert points.frame["folder"].unique().to_list() == [f"tb/{starts[0]}"]


def test_a_start_from_the_beginning_is_a_run_of_its_own(
    source: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1b/tb/20260131-1200", {"train/loss": {1: 9.0, 2: 8.0}}, at=1.0)
    write_events("1b_2e_ar_1b/tb/20260131-1500", {"train/loss": {1: 9.5, 2: 8.5}}, at=2.0)
    assert read(source).frame["folder"].n_unique() == 2


# ---------------------------------------------------------------- folders


def test_the_folders_of_add_scalars_are_tags_of_their_run(
    source: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1b", {"lr": {1: 0.1, 2: 0.1}})
    write_events("1b_2e_ar_1b/model_loss_train", {"model/loss": {1: 6.0, 2: 5.0}})
    write_events("1b_2e_ar_1b/loss_val", {"loss": {1: 6.5, 2: 5.5}})
    found = curves(read(source))
    assert found["val_loss"] == [(1, 6.5), (2, 5.5)]
    assert found["model_loss_train"] == [(1, 6.0), (2, 5.0)]


def test_every_rank_logs_one_run(source: Path, write_events: WriteEvents) -> None:
    for rank in range(3):
        write_events(f"1b_2e_ar_1b/rank_{rank}", {"train/loss": {1: 6.0, 2: 5.0 + rank}})
    points = read(source)
    assert curves(points) == {"train_loss": [(1, 6.0), (2, 5.0)]}
    assert noted(points, "rank_2", "rank_0")


def test_links_are_followed_and_a_run_is_read_once(
    source: Path, write_events: WriteEvents, tmp_path: Path
) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0, 2: 5.0}})
    source.rename(tmp_path / "elsewhere")
    source.mkdir()
    (source / "1b_2e_ar_1b").symlink_to(tmp_path / "elsewhere" / "1b_2e_ar_1b")
    (source / "latest").symlink_to(source / "1b_2e_ar_1b")
    (source / "up").symlink_to(source)
    (source / "nowhere").symlink_to(tmp_path / "missing")
    assert curves(read(source)) == {"val_loss": [(1, 6.0), (2, 5.0)]}


# ---------------------------------------------------------------- tags


def test_the_count_of_all_devices_is_taken(source: Path, write_events: WriteEvents) -> None:
    tokens = {"tokens": {1: 10.0, 2: 20.0}, "total_tokens": {1: 40.0, 2: 80.0}}
    write_events("1b_2e_ar_1b", {"loss": {1: 6.0, 2: 5.0}, **tokens})
    points = read(source)
    assert sorted(points.frame["total_tokens"]) == [40, 80]
    assert noted(points, "total_tokens, not of tokens")


def test_tokens_count_although_other_tags_are_chosen(
    source: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0}, "lr": {1: 0.1}, "n_tokens_seen": {1: 64.0}})
    points = read_source(source, Request(only=("val_loss",), units={"total_tokens": 1}))
    assert points.frame.select("metric", "total_tokens").rows() == [("val_loss", 64)]


def test_tokens_of_steps_numbered_from_0_begin_with_one_step(
    source: Path, write_events: WriteEvents
) -> None:
    counts = {4: 500.0, 9: 1000.0}
    write_events("1b_2e_ar_1b", {"val_loss": {0: 9.0, 7: 6.0, 11: 5.0}, "tokens": counts})
    assert read(source).frame["total_tokens"].to_list() == [100, 800, 1200]


@pytest.mark.parametrize(
    ("tags", "train_loss"),
    [(["loss"], "loss"), (["loss", "train_loss"], "train_loss"), (["lm loss", "loss"], "lm loss")],
)
def test_a_plain_loss_is_of_training_where_no_other_is(
    source: Path, write_events: WriteEvents, tags: list[str], train_loss: str
) -> None:
    write_events("1b_2e_ar_1b", {tag: {1: float(n + 2)} for n, tag in enumerate(tags)})
    assert curves(read(source))["train_loss"] == [(1, float(tags.index(train_loss) + 2))]


# ---------------------------------------------------------------- damaged files


def framed(content: bytes, length: int | None = None) -> bytes:
    head = struct.pack("<Q", len(content) if length is None else length)
    checksums = (struct.pack("<I", masked_crc32c(part)) for part in (head, content))
    return head + next(checksums) + content + next(checksums)


@pytest.mark.parametrize("length", [10**6, LARGEST + 1, 2**40, 2**63, 2**64 - 1])
def test_a_length_beyond_the_file_takes_no_memory(
    source: Path, write_events: WriteEvents, length: int
) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0, 2: 5.0}})
    (path,) = source.rglob("events*")
    path.write_bytes(path.read_bytes() + framed(b"tail", length))
    points = read(source)
    assert curves(points) == {"val_loss": [(1, 6.0), (2, 5.0)]}
    assert noted(points, "cut off or damaged after byte")


def test_a_large_record_is_passed_over(source: Path, write_events: WriteEvents) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0}})
    (path,) = source.rglob("events*")
    head = struct.pack("<Q", LARGEST + 1)
    before = path.read_bytes()
    value = summary_pb2.Summary.Value(tag="val_loss", simple_value=5.0)
    event = event_pb2.Event(wall_time=2.0, step=2, summary=summary_pb2.Summary(value=[value]))
    with path.open("wb") as file:
        file.write(before + head + struct.pack("<I", masked_crc32c(head)))
        file.seek(LARGEST + 1 + 4, 1)
        file.write(framed(event.SerializeToString()))
    points = read(source)
    assert curves(points) == {"val_loss": [(1, 6.0), (2, 5.0)]}
    assert noted(points, "1 records of more than 16 MiB")


def test_a_shape_without_end_is_no_scalar(source: Path, write_events: WriteEvents) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0}})
    (path,) = source.rglob("events*")
    event = event_pb2.Event(wall_time=1.0, step=1)
    tensor = event.summary.value.add(tag="huge").tensor
    tensor.dtype, tensor.float_val[:] = 1, [1.0]
    tensor.tensor_shape.dim.add(size=2**40)
    path.write_bytes(path.read_bytes() + framed(event.SerializeToString()))
    assert curves(read(source)) == {"val_loss": [(1, 6.0)]}


@pytest.mark.parametrize(
    "content", [b"not events at all, but long enough", framed(b"\xff\xff\xff")]
)
def test_a_run_that_is_damaged_from_its_start_costs_itself(
    source: Path, write_events: WriteEvents, content: bytes
) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0}})
    write_events("1b_2e_difflm_1b", {"val_loss": {1: 6.0}})
    next((source / "1b_2e_difflm_1b").iterdir()).write_bytes(content)
    points = read(source)
    assert points.frame["objective"].to_list() == ["ar"]
    assert noted(points, "1b_2e_difflm_1b", "not a TensorBoard event file")
    next((source / "1b_2e_ar_1b").iterdir()).write_bytes(content)
    with pytest.raises(InputError, match="not a TensorBoard event file"):
        read(source)
