"""One run, from its folder to its end: `python -m workbench.running.worker RUN_DIR`.

The worker holds the run's claim, resumes from its newest checkpoint, writes its records and
leaves its state behind. It is the same alone, under torchrun, and as a fork of a warm parent.
"""

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

# Asking whether there is a GPU must not initialise CUDA: a forked child could not use it then.
os.environ.setdefault("PYTORCH_NVML_BASED_CUDA_CHECK", "1")

import torch
from torch import distributed as dist

from workbench.data import PreparedData
from workbench.data.shard_checks import check_run_data
from workbench.errors import WorkbenchError
from workbench.evaluation.chance import chance_task
from workbench.evaluation.held_out_loss import held_out_tasks
from workbench.evaluation.memorisation import memorisation_task
from workbench.evaluation.tasks import TrainingTask, training_tasks
from workbench.metrics import PROTOCOL, RAW, of_weights
from workbench.recipe import RunConfig, run_config
from workbench.recipe.plugins_used import check_plugins
from workbench.recipe.ranks import laid_out
from workbench.runs.folder import RunFolder
from workbench.runs.items import ItemsFile
from workbench.runs.lock import AlreadyClaimed
from workbench.runs.processes import die_with_parent
from workbench.runs.records import RecordWriter
from workbench.runs.started_as import StartedAs, has_numbers, note_started_as, started_as
from workbench.tracking.start import mirrored
from workbench.training import titan_patches
from workbench.training.averages import averages
from workbench.training.checkpoints import remove_unfinished
from workbench.training.config import trainer_config
from workbench.training.energy import EnergyMeter, meter_of
from workbench.training.model import initialise
from workbench.training.objectives.base import Vocab
from workbench.training.objectives.registry import build_objective
from workbench.training.record_metrics import RecordSink
from workbench.training.start import agreed, start_of
from workbench.training.stop_signal import StopSignal
from workbench.training.trainer import Hooks, StudyTrainer

# What most runs of this machine need, done before a warm parent forks.
titan_patches.use_device("cuda" if torch.cuda.is_available() else "cpu")

FINISHED, FAILED, CLAIMED, DIVERGED, STOPPED = 0, 1, 3, 4, 143
_STATUS_EVERY_S, _CANCEL_EVERY_S = 0.5, 0.25


def main(run_dir: Path) -> int:
    """Train the run in `run_dir` to its end and return the worker's exit status.

    0 finished, 1 failed, 3 claimed by another process, 4 diverged, 143 stopped by a signal
    after writing a checkpoint.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    logging.raiseExceptions = False  # a log that cannot be written is no reason to write more
    run = RunFolder(run_dir)
    if int(os.environ.get("RANK", "0")) != 0:
        return _outcome(lambda: _train(run, run.config_json(), leader=False))[0]
    try:
        with run.claim():
            return _lead(run)
    except AlreadyClaimed as claimed:
        _log(str(claimed))
        return CLAIMED
    except WorkbenchError as error:  # not even the status could be written
        _log(f"Error: {error}")
        return FAILED


def rest() -> None:
    """Free the GPU memory of a run before another one starts in this process."""
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _lead(run: RunFolder) -> int:
    """Train as rank 0, which alone writes the status while it holds the claim."""
    previous = run.stored_status()
    if previous.state == "finished":
        return FINISHED
    if run.cancel_path.exists():
        run.write_status(state="cancelled", finished=time.time())
        return STOPPED
    document = run.config_json()
    run.write_status(
        state="running",
        attempts=previous.attempts + 1,
        steps=document["derived"]["steps"],
        started=previous.started or time.time(),
        finished=None,
        error=None,
        pid=os.getpid(),
        host=os.uname().nodename,
    )
    with mirrored(run.path, run.records_path, finished=FINISHED) as ending:
        code, error = _outcome(lambda: _train(run, document, leader=True))
        ending.code = code
    stopped = "cancelled" if run.cancel_path.exists() else "interrupted"
    states = {FINISHED: "finished", STOPPED: stopped, DIVERGED: "diverged"}
    changes: dict[str, Any] = {"state": states.get(code, "failed"), "error": error}
    if code != STOPPED:
        changes["finished"] = time.time()
        run.cancel_path.unlink(missing_ok=True)  # it came too late
    run.write_status(**changes)
    return code


def _outcome(train: Any) -> tuple[int, str | None]:
    """Call `train` and return its exit status and, where it failed, the error."""
    try:
        return train(), None
    except WorkbenchError as error:
        _log(f"Error: {error}")
        return DIVERGED if isinstance(error, Diverged) else FAILED, str(error)
    except Exception as error:
        _log(traceback.format_exc())
        return FAILED, f"{type(error).__name__}: {error}"


def _log(text: str) -> None:
    """Write a line to the run's log, for which a full disk may have no room."""
    with suppress(OSError):
        print(text, file=sys.stderr)


class Diverged(WorkbenchError):
    """The loss is no longer finite: trying again would end the same way."""


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else device


def _train(run: RunFolder, document: dict[str, Any], *, leader: bool) -> int:
    ranks = int(os.environ.get("WORLD_SIZE", "1"))
    config = laid_out(run_config(document), ranks)
    if run.protocol() != PROTOCOL:
        raise WorkbenchError(
            f"run {run.run_id} was begun under evaluation protocol {run.protocol()}, and this "
            f"workbench measures by protocol {PROTOCOL}: one curve cannot have both. "
            "`workbench run RECIPE` trains it anew, under an id of its own."
        )
    check_plugins(config, ("objectives", "tasks"), f"run {run.run_id}")
    prepared = PreparedData.open(run.results / document["data"]["folder"])
    if leader:
        check_run_data(run.results, document["data"])
    torch.set_num_threads(config.training.threads)
    torch.set_default_dtype(torch.float32)
    start = start_of(config, _start_of_before(run, config))
    titan_patches.use_device(start.device)
    titan_patches.skip_final_sleep()
    if leader:
        remove_unfinished(run.checkpoint_dir)
    writer = RecordWriter(run.records_path) if leader else None
    with StopSignal() as stop:
        _join_process_group(start.device)
        try:
            start = agreed(start)
            if leader:
                _log(f"This run trains as {start}.")
                run.note_device(_device_name(start.device), start.dtype, ranks)
                note_started_as(run, start)
            trainer = StudyTrainer(trainer_config(config, prepared, run.path, start))
            energy = meter_of(start.device, run.records_path)
            try:
                return _run(
                    run, config, prepared, document["derived"], trainer, writer, stop, energy
                )
            finally:
                if energy is not None:
                    energy.close()
                trainer.close()
        finally:
            if config.training.deterministic:
                torch.use_deterministic_algorithms(False)  # for whatever this process does next
            dist.destroy_process_group()
            if writer is not None:
                writer.close()  # last: there may be no room for what it holds


def _start_of_before(run: RunFolder, config: RunConfig) -> StartedAs | None:
    """What the run was started as, if it has begun."""
    if not has_numbers(run):
        return None
    return started_as(run.provenance_json(), compiled=config.training.compile is True)


def _join_process_group(device: str) -> None:
    """Join the ranks: one needs no rendezvous and no port, several take torchrun's environment."""
    world_size = int(os.environ.get("WORLD_SIZE", "1"))
    if int(os.environ.get("LOCAL_WORLD_SIZE", "1")) == world_size:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    os.environ.setdefault("LOCAL_RANK", "0")
    # As titan does when it makes the group: its mesh stack is thread-local.
    torch.autograd.set_multithreading_enabled(False)
    backend = "gloo" if device == "cpu" else "cpu:gloo,cuda:nccl"
    if world_size == 1:
        dist.init_process_group(backend, store=dist.HashStore(), rank=0, world_size=1)
    else:
        dist.init_process_group(backend)


def _run(
    run: RunFolder,
    config: RunConfig,
    prepared: PreparedData,
    derived: dict[str, Any],
    trainer: StudyTrainer,
    writer: RecordWriter | None,
    stop: StopSignal,
    energy: EnergyMeter | None,
) -> int:
    vocab = prepared.vocab
    objective = build_objective(
        config.training, Vocab(vocab.n_tokens, vocab.size, vocab.mask_id, vocab.bos_id)
    )
    sink = RecordSink(
        writer,
        tokens_per_step=derived["tokens_per_step"],
        unique_tokens=config.data.unique_tokens,
        flops_per_token=derived["train_flops"] / (derived["steps"] * derived["tokens_per_step"]),
    )
    # One rank looks: where there are several, they agree on what any of them has seen.
    cancelled = _cancel_watch(run) if writer is not None else lambda: False
    trainer.metrics_processor.sink = sink
    trainer.metrics_processor.train_estimator = objective.train_estimator
    trainer.attach(
        objective,
        Hooks(
            evaluate=_evaluator(run, config, prepared, trainer, sink),
            evaluation_steps=frozenset(config.evaluation_steps),
            on_step=_status_updater(run, derived) if writer is not None else lambda step: None,
            stop_requested=lambda: stop.requested or cancelled(),
            flush=lambda: sink.flush(fsync=True),
        ),
        averages(config, trainer.model_parts[0]),
        energy,
    )
    for part in trainer.model_parts:
        initialise(
            part,
            seed=config.training.seed,
            std=config.model.init_std,
            width_ratio=config.model.width_ratio,
        )
    try:
        trainer.train()
    except RuntimeError as error:
        if "Loss is not finite" in str(error):
            estimator = objective.train_estimator
            sink.write(trainer.step, "train_loss", float("nan"), estimator=estimator)
            raise Diverged(f"the loss is not finite at step {trainer.step}") from error
        raise
    finally:
        sink.flush(fsync=True)
        if writer is not None:
            run.write_status(step=trainer.step, tokens=trainer.step * derived["tokens_per_step"])
    return FINISHED if trainer.step >= derived["steps"] else STOPPED


def _evaluator(
    run: RunFolder,
    config: RunConfig,
    prepared: PreparedData,
    trainer: StudyTrainer,
    sink: RecordSink,
) -> Any:
    """Return the function that evaluates after a step and writes what it measures as records."""
    tasks = held_out_tasks(config, prepared, run)
    tasks += training_tasks(config, prepared)
    if config.evaluation.memorisation is not None:
        tasks.append(memorisation_task(config, prepared))
    without_model = [chance_task(config, prepared)] if "cloze" in config.evaluation.tasks else []
    items = ItemsFile(run.items_dir) if sink.writer is not None else None

    def ask(step: int, weights: str, tasks: Sequence[TrainingTask]) -> None:
        for task in tasks:
            for measured in task(trainer):
                number = asdict(measured.estimate)
                value = number.pop("value")
                metric = of_weights(measured.metric, weights)
                sink.write(step, metric, value, estimator=measured.estimator, **number)
                if items is not None and measured.items is not None:
                    name = metric, measured.estimator, measured.estimate.draws
                    items.add(measured.items.frame(step, *name))

    def evaluate(step: int) -> None:
        trainer.model_parts[0].eval()
        ask(step, RAW, [*tasks, *without_model])
        for average in trainer.averages:
            if step >= average.first:
                with average.in_place():
                    ask(step, average.name, tasks)
        if items is not None:
            items.write()
        trainer.model_parts[0].train()
        sink.flush(fsync=False)

    return evaluate


def _cancel_watch(run: RunFolder) -> Callable[[], bool]:
    """Return the function that tells whether the run was asked to stop for good, as of the last
    quarter of a second: after a step of milliseconds, a look at the disk would cost."""
    asked, last = False, 0.0

    def look() -> bool:
        nonlocal asked, last
        now = time.monotonic()
        if not asked and now - last >= _CANCEL_EVERY_S:
            asked, last = run.cancel_path.exists(), now
        return asked

    return look


def _status_updater(run: RunFolder, derived: dict[str, Any]) -> Any:
    """Return the function that updates status.json, but not after every step."""
    last = 0.0

    def update(step: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _STATUS_EVERY_S:
            last = now
            run.write_status(step=step, tokens=step * derived["tokens_per_step"])

    return update


if __name__ == "__main__":
    die_with_parent(os.getppid())
    sys.exit(main(Path(sys.argv[1])))
