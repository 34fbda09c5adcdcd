"""Long tables and event files to import."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util import tensor_util

HEADER = "objective,n_params,unique_tokens,metric,total_tokens,value"
ROWS = [
    "ar,1000,100,val_loss,100,5.0",
    "ar,1000,100,val_loss,200,4.0",
    "mdlm,1000,100,val_loss,100,6.0",
    "mdlm,1000,100,val_loss,200,3.5",
]
WriteTable = Callable[..., Path]
WriteEvents = Callable[..., None]


@pytest.fixture
def table(tmp_path: Path) -> WriteTable:
    """table(row, ..., header=...) writes a CSV file and gives its path."""

    def write(*rows: str, header: str = HEADER, name: str = "curves.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join([header, *(rows or ROWS)]) + "\n")
        return path

    return write


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folder that `write_events` writes runs into."""
    return tmp_path / "events"


@pytest.fixture
def write_events(source: Path) -> WriteEvents:
    """write_events("run name", {tag: {step: value}}) adds one event file to a run's folder."""
    number = 0

    def make(
        run: str,
        scalars: Mapping[str, Mapping[int, float]],
        *,
        at: float = 1.0,
        tensors: bool = False,
        start: int | None = None,
    ) -> None:
        nonlocal number
        number += 1
        writer = EventFileWriter(str(source / run), filename_suffix=f".{number}")
        if start is not None:
            mark = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            writer.add_event(event_pb2.Event(wall_time=at, step=start, session_log=mark))
        for tag, steps in scalars.items():
            for step, value in steps.items():
                if tensors:
                    content = {"tensor": tensor_util.make_tensor_proto(value)}
                else:
                    content = {"simple_value": value}
                summary_value = summary_pb2.Summary.Value(tag=tag, **content)
                summary = summary_pb2.Summary(value=[summary_value])
                writer.add_event(event_pb2.Event(wall_time=at, step=step, summary=summary))
        writer.close()

    return make
