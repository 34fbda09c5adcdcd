"""What a run does, part by part, with the product's own code."""

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from workbench.data import PreparedData
from workbench.data.tokenizers import load_tokenizer
from workbench.evaluation.held_out_loss import held_out_tasks
from workbench.evaluation.memorisation import memorisation_task
from workbench.evaluation.tasks import TrainingTask, training_tasks
from workbench.generation.generate import generate
from workbench.generation.network import network_of
from workbench.generation.samplers import choose_sampler, samplers_of
from workbench.generation.settings import Settings
from workbench.recipe import RunConfig, objective_facts
from workbench.recipe.task_names import reads_file_keys
from workbench.rehearsal.capture import BACKEND
from workbench.rehearsal.counting import Counting
from workbench.rehearsal.counts import (
    CHECKPOINT,
    FIRST,
    SAMPLING,
    TRAIN,
    TRAIN_LOGGED,
    VALIDATION,
    Phase,
)
from workbench.runs.folder import RunFolder
from workbench.runs.started_as import StartedAs
from workbench.training.averages import averages
from workbench.training.config import trainer_config
from workbench.training.objectives.base import Vocab
from workbench.training.objectives.registry import build_objective
from workbench.training.record_metrics import RecordSink
from workbench.training.trained_model import RunModel, build_model
from workbench.training.trainer import Hooks, StudyTrainer

LOG_EVERY = 3  # titan logs the first step, and then the third: between them is one that does not
_SAMPLED = 4  # tokens
_FRAMES = ("workbench/", "torchtitan/")


class Rehearser:
    """The phases of one run, one after the other, on one imagined rank."""

    def __init__(self, config: RunConfig, folder: Path, data: PreparedData, counting: Counting):
        self.config = config
        self.folder = folder
        self.data = data
        self.counting = counting
        self.phases: list[Phase] = []
        self.left_out: list[str] = []

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count what happens within as one phase; an error ends the phase and is part of it."""
        began = time.perf_counter()
        self.counting.start(name)
        error = where = None
        try:
            yield
        except Exception as raised:
            traceback.print_exception(raised)
            error = f"{type(raised).__name__}: {str(raised).strip().splitlines()[0]}"
            where = _place(raised)
        phase = self.counting.finish()
        phase.error, phase.where = error, where
        phase.seconds = time.perf_counter() - began
        self.phases.append(phase)

    def trainer(self, *, compiled: bool) -> StudyTrainer:
        """The run's trainer with its objective, as the worker makes it."""
        config, vocab = self.config, self.data.vocab
        dtype = "bfloat16" if config.training.dtype == "auto" else config.training.dtype
        start = StartedAs("cuda", dtype, compiled)
        settings = trainer_config(config, self.data, self.folder, start)
        if not settings.training.disable_cuda_graphs:
            settings.training.disable_cuda_graphs = True
            self.left_out.append("CUDA graphs: there is no device to record one on.")
        settings.metrics.log_freq = LOG_EVERY
        settings.checkpoint.enable = False
        settings.compile.backend = BACKEND
        trainer = StudyTrainer(settings)
        objective = build_objective(
            config.training, Vocab(vocab.n_tokens, vocab.size, vocab.mask_id, vocab.bos_id)
        )
        trainer.metrics_processor.sink = RecordSink(
            None, tokens_per_step=config.tokens_per_step, unique_tokens=1, flops_per_token=1.0
        )
        trainer.metrics_processor.train_estimator = objective.train_estimator
        trainer.attach(
            objective,
            Hooks(
                evaluate=lambda step: None,
                evaluation_steps=frozenset(),
                on_step=lambda step: None,
                stop_requested=lambda: False,
            ),
            averages(config, trainer.model_parts[0]),
        )
        return trainer

    def steps(self, trainer: StudyTrainer) -> None:
        """Three training steps: the first one, one that logs nothing, one that logs."""
        batches = trainer.batch_generator(trainer.dataloader)
        for name in (FIRST, TRAIN, TRAIN_LOGGED):
            with self.phase(name):
                trainer.step += 1
                trainer.train_step(batches)
            if self.phases[-1].error is not None:
                return
        trainer.optimizers.zero_grad()

    def evaluations(self, trainer: StudyTrainer) -> None:
        """Validation and each task that the run asks while it trains."""
        run = RunFolder.create(self.folder, "rehearsal", {"schema": 1, "data": {}}, {})
        trainer.model_parts[0].eval()
        with self.phase(VALIDATION):
            for task in held_out_tasks(self.config, self.data, run):
                _ask(task, trainer)
        evaluation = self.config.evaluation
        for name in evaluation.tasks:
            if reads_file_keys(name):
                self.left_out.append(
                    f"task {name}: its questions are in a file. Its passes are those of cloze."
                )
                continue
            alone = evaluation.model_copy(update={"tasks": [name]})
            with self.phase(f"task {name}"):
                config = self.config.model_copy(update={"evaluation": alone})
                for task in training_tasks(config, self.data):
                    _ask(task, trainer)
        if evaluation.memorisation is not None:
            with self.phase("task memorisation"):
                _ask(memorisation_task(self.config, self.data), trainer)
        trainer.model_parts[0].train()

    def checkpoint(self, trainer: StudyTrainer) -> int:
        """What a checkpoint holds, up to where bytes would be written; returns this rank's."""
        from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
        from torch.distributed.checkpoint.planner import WriteItemType

        total = 0
        with self.phase(CHECKPOINT):
            state = {
                "model": {
                    k: v for part in trainer.model_parts for k, v in part.state_dict().items()
                },
                "optimizer": trainer.optimizers.state_dict(),
                "dataloader": trainer.dataloader.state_dict(),
                "lr_scheduler": trainer.lr_schedulers.state_dict(),
                **{average.name: average.state_dict() for average in trainer.averages},
            }
            planner = DefaultSavePlanner()
            planner.set_up_planner(state, is_coordinator=True)
            for item in planner.create_local_plan().items:
                if item.type != WriteItemType.BYTE_IO and item.tensor_data is not None:
                    size = item.tensor_data.chunk.sizes.numel()
                    total += size * item.tensor_data.properties.dtype.itemsize
        self.left_out.append(
            "the bytes of a checkpoint, written and read: fake tensors have none. What is saved "
            "was planned."
        )
        return total

    def sampling(self) -> None:
        """A few tokens by the objective's own sampler, from the whole model on one GPU."""
        objective = self.config.training.objective
        if not samplers_of(objective):
            self.left_out.append(f"sampling: there is no sampler for {objective}.")
            return
        facts, ids = objective_facts(objective), self.data.vocab
        with torch.device("cuda"):  # its weights come from a checkpoint, which is not rehearsed
            model = build_model(
                self.config.model,
                seq_len=self.config.data.seq_len,
                causal=facts.causal,
                doubled=facts.streams == 2,
                device="cuda",
            )
        with self.phase(SAMPLING), torch.no_grad():
            run = RunModel(
                model=model.requires_grad_(False),
                vocab=Vocab(ids.n_tokens, ids.size, ids.mask_id, ids.bos_id),
                tokenizer=load_tokenizer("bytes"),
                config=self.config,
                step=1,
            )
            generate(
                network_of(run),
                choose_sampler(None, objective),
                torch.zeros(0, dtype=torch.int64),
                _SAMPLED,
                Settings(),
            )


def _ask(task: TrainingTask, trainer: StudyTrainer) -> None:
    for _ in task(trainer):
        pass


def _place(error: BaseException) -> str | None:
    """The innermost file and line of the product that an error went through."""
    found = None
    for frame in traceback.extract_tb(error.__traceback__):
        for package in _FRAMES:
            at = frame.filename.rfind(package)
            if at >= 0 and "rehearsal/" not in frame.filename[at:]:
                found = f"{frame.filename[at:]}:{frame.lineno}"
    return found
