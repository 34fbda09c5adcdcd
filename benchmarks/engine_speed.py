"""Tokens a second of the workbench's trainer over those of a plain PyTorch loop.

Both train the same shape on the same text, each in a process of its own on one thread, in turn,
block by block. A block's ratio compares neighbours in time, so a noisy machine moves both; the
median of the blocks' ratios is the result. The workbench's process has the environment that its
launcher gives to workers, the plain loop's has PyTorch's defaults. `--compile` compiles the
workbench's side alone.

    python benchmarks/engine_speed.py [--sizes 0.2M 5M] [--compile] [--blocks 9]
"""

import argparse
import logging
import os
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from plain_loop import PlainLoop, Transformer
from timed_sides import Side, serve_steps, spread, take_turns

from workbench.data import PreparedData
from workbench.data.preparation import prepare
from workbench.planning.plan import plan_study
from workbench.recipe import RunConfig, load_recipe
from workbench.running import worker
from workbench.running.environment import worker_environment
from workbench.training import titan_patches
from workbench.training.config import trainer_config
from workbench.training.model import initialise
from workbench.training.objectives.base import Vocab
from workbench.training.objectives.registry import build_objective
from workbench.training.record_metrics import RecordSink
from workbench.training.start import start_of
from workbench.training.trainer import Hooks, StudyTrainer


def workbench_steps(
    config: RunConfig, prepared: PreparedData, folder: Path
) -> tuple[StudyTrainer, Callable[[], None]]:
    """The workbench's trainer, and a function that takes its next step as `train` does."""
    trainer = StudyTrainer(trainer_config(config, prepared, folder, start_of(config)))
    v = prepared.vocab
    objective = build_objective(config.training, Vocab(v.n_tokens, v.size, v.mask_id, v.bos_id))
    trainer.metrics_processor.sink = RecordSink(None, config.tokens_per_step, 1, 1.0)
    trainer.metrics_processor.train_estimator = objective.train_estimator
    trainer.attach(objective, Hooks(lambda s: None, frozenset(), lambda s: None, lambda: False))
    for part in trainer.model_parts:
        initialise(part, seed=0, std=config.model.init_std)
    batches = trainer.batch_generator(trainer.dataloader)

    def step() -> None:
        trainer.step += 1
        trainer.gc_handler.run(trainer.step)
        trainer.train_step(batches)

    return trainer, step


def resolved(
    size: str, objective: str, compiled: bool, folder: Path
) -> tuple[RunConfig, PreparedData]:
    recipe = load_recipe(
        "quickstart",
        [
            f'model.size="{size}"',
            f'training.objective="{objective}"',
            "data.unique_tokens=1_048_576",
            "training.total_tokens=20_480_000",
            f"training.compile={str(compiled).lower()}",
            'training.device="cpu"',
        ],
    )
    prepared = prepare(recipe.runs[0].data, folder)
    return plan_study(recipe, folder).runs[0].config, prepared


def plain_steps(config: RunConfig, prepared: PreparedData) -> Callable[[], float]:
    shape, length = config.model.shape, config.data.seq_len
    model = Transformer(
        layers=shape.layers,
        width=shape.width,
        heads=shape.heads,
        ffn=shape.ffn,
        vocab=shape.vocab_size,
        length=length,
        causal=config.training.objective == "ar",
    )
    assert sum(p.numel() for p in model.parameters()) == shape.n_params
    text = torch.from_numpy(prepared.train()[:1_048_576].astype("int64")).view(-1, length)
    loop = PlainLoop(
        model,
        text,
        objective=config.training.objective,
        batch=config.training.batch_size,
        lr=config.training.lr,
    )
    return loop.step


def serve(side: str, size: str, objective: str, compiled: bool, folder: Path) -> None:
    """One side, in its own process: time as many steps as each line of input asks for."""
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    config, prepared = resolved(size, objective, compiled, folder)
    if side == "plain":
        step: Callable[[], object] = plain_steps(config, prepared)
    else:
        titan_patches.use_device("cpu")
        worker._join_process_group("cpu")
        _, step = workbench_steps(config, prepared, folder)
    serve_steps(step)


def compare(size: str, objective: str, *, compiled: bool, blocks: int) -> list[tuple[float, float]]:
    """(workbench, plain loop) seconds a step, a pair a block."""
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        resolved(size, objective, compiled, Path(folder))  # prepared once, for both
        arguments = (size, objective, str(int(compiled)), folder)
        plain = Side(__file__, "plain", *arguments, env=os.environ | one_thread)
        ours = Side(__file__, "workbench", *arguments, env=os.environ | worker_environment(1))
        return take_turns(ours, plain, blocks=blocks, block_seconds=2.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["0.2M", "5M"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--serve", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        side, size, objective, compiled, folder = arguments.serve
        serve(side, size, objective, compiled == "1", Path(folder))
        return
    print("size  objective  mode      ratio (lowest to highest)  workbench tok/s  plain tok/s")
    for size in arguments.sizes:
        for objective in ("ar", "mdlm"):
            pairs = compare(size, objective, compiled=arguments.compile, blocks=arguments.blocks)
            ratios = [plain / ours for ours, plain in pairs]
            speeds = [32 * 64 / statistics.median(side) for side in zip(*pairs, strict=True)]
            mode = "compiled" if arguments.compile else "eager"
            print(
                f"{size:5} {objective:10} {mode:9}  {spread(ratios)}"
                f"{speeds[0]:22,.0f} {speeds[1]:12,.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
