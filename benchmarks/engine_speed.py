"""Tokens a second of the workbench's trainer over those of a plain PyTorch loop.

Both train the same shape on the same text, in turn, block by block, in one process and on one
thread. A block's ratio compares neighbours in time, so a noisy machine moves both; the median of
the blocks' ratios is the result. `--compile` compiles the workbench's side alone.

    python benchmarks/engine_speed.py [--sizes 0.2M 5M] [--compile] [--blocks 9]
"""

import os

for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import argparse
import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from plain_loop import PlainLoop, Transformer

from workbench.data import PreparedData
from workbench.data.preparation import prepare
from workbench.plan import plan_study
from workbench.recipe import RunConfig, load_recipe
from workbench.training import titan_patches, worker
from workbench.training.config import resolve_precision, trainer_config
from workbench.training.model import initialise
from workbench.training.objectives import Vocab, build_objective
from workbench.training.sink import RecordSink
from workbench.training.trainer import Hooks, StudyTrainer


def workbench_steps(
    config: RunConfig, prepared: PreparedData, folder: Path
) -> tuple[StudyTrainer, Callable[[], None]]:
    """The workbench's trainer, and a function that takes its next step as `train` does."""
    trainer = StudyTrainer(trainer_config(config, prepared, folder, resolve_precision(config)))
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


def timed(step: Callable[[], object], count: int) -> float:
    began = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - began) / count


def compare(size: str, objective: str, *, compiled: bool, blocks: int) -> tuple[float, ...]:
    """(median ratio, lowest, highest, workbench's and plain loop's median tokens a second)."""
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
    with tempfile.TemporaryDirectory() as folder:
        prepared = prepare(recipe.runs[0].data, Path(folder))
        config = plan_study(recipe, Path(folder)).runs[0].config
        titan_patches.use_device("cpu")
        worker._join_process_group("cpu")
        trainer, ours = workbench_steps(config, prepared, Path(folder))
        shape = config.model.shape
        model = Transformer(
            layers=shape.layers,
            width=shape.width,
            heads=shape.heads,
            ffn=shape.ffn,
            vocab=shape.vocab_size,
            length=config.data.seq_len,
            causal=objective == "ar",
        )
        assert sum(p.numel() for p in model.parameters()) == shape.n_params
        length = config.data.seq_len
        text = torch.from_numpy(prepared.train()[: 1_048_576].astype("int64")).view(-1, length)
        plain = PlainLoop(model, text, objective=objective, batch=config.training.batch_size, lr=3e-3)
        count = max(3, int(2.0 / timed(plain.step, 2)))  # about 2 s a block
        timed(ours, max(5, count // 2))  # warm-up, compilation included
        timed(plain.step, max(5, count // 2))
        pairs = [(timed(ours, count), timed(plain.step, count)) for _ in range(blocks)]
        trainer.close()
        torch.distributed.destroy_process_group()
    ratios = [theirs / mine for mine, theirs in pairs]
    speeds = [config.tokens_per_step / statistics.median(side) for side in zip(*pairs, strict=True)]
    return statistics.median(ratios), min(ratios), max(ratios), *speeds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["0.2M", "5M"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--blocks", type=int, default=9)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    print("size  objective  mode      ratio (lowest to highest)  workbench tok/s  plain tok/s")
    for size in arguments.sizes:
        for objective in ("ar", "mdlm"):
            ratio, low, high, ours, plain = compare(
                size, objective, compiled=arguments.compile, blocks=arguments.blocks
            )
            mode = "compiled" if arguments.compile else "eager"
            print(
                f"{size:5} {objective:10} {mode:9} {ratio:5.2f} ({low:.2f} to {high:.2f})"
                f"{ours:22,.0f} {plain:12,.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
