"""Training speed of every objective against masked diffusion's, per forward pass.

A step of an objective passes `passes` times `batch` sequences of `inputs` tokens through the
network; mdlm is timed with as many sequences of as many inputs. Both run on one thread, in a
process each, in turn, block by block: a block's ratio compares neighbours in time, and the
median of the blocks' ratios is the result. 1 is mdlm's speed, above is faster. Times are the
process's CPU seconds, which on one thread are those of an idle machine.

    python benchmarks/objective_speed.py [--sizes 0.2M 5M] [--compile] [--blocks 9]
"""

import argparse
import logging
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from engine_speed import workbench_steps
from timed_sides import Side, serve_steps, spread, take_turns

from workbench.data.preparation import prepare
from workbench.planning.plan import plan_study
from workbench.recipe import load_recipe
from workbench.running import worker
from workbench.running.environment import worker_environment
from workbench.training import titan_patches

BATCH, LENGTH = 32, 64


@dataclass(frozen=True)
class Kind:
    """An objective's settings, and what passes the network in one of its steps."""

    name: str
    keys: tuple[str, ...]
    passes: int = 1
    inputs: int = LENGTH


KINDS = (
    Kind("ar", ("objective=ar",)),
    Kind("ar, masked", ("objective=ar", "input_mask=0.3")),
    Kind("ar, masked beside", ("objective=ar", "input_mask=0.3", "mask_aux_weight=1"), passes=2),
    Kind("ar, masked, 4 draws", ("objective=ar", "input_mask=0.3", "noise_samples=4"), passes=4),
    Kind("mdlm, 4 draws", ("objective=mdlm", "noise_samples=4"), passes=4),
    Kind("block of 1", ("objective=block", "block_size=1"), inputs=2 * LENGTH),
    Kind("block of 8", ("objective=block", "block_size=8"), inputs=2 * LENGTH),
    Kind("block of 64", ("objective=block", "block_size=64"), inputs=2 * LENGTH),
    Kind("any order", ("objective=aoar",), inputs=2 * LENGTH),
)


def serve(folder: str, compiled: str, size: str, length: str, batch: str, *keys: str) -> None:
    """One objective, in its own process: time as many steps as each line of input asks for."""
    logging.disable(logging.WARNING)
    torch.set_num_threads(1)
    recipe = load_recipe(
        "quickstart",
        [
            f'model.size="{size}"',
            f"data.seq_len={length}",
            "data.unique_tokens=1_048_576",
            f"training.batch_size={batch}",
            "training.total_tokens=40_960_000",
            f"training.compile={compiled}",
            'training.device="cpu"',
            *(f"training.{key}" for key in keys),
        ],
    )
    prepared = prepare(recipe.runs[0].data, Path(folder))
    (run,) = plan_study(recipe, Path(folder)).runs
    titan_patches.use_device("cpu")
    worker._join_process_group("cpu")
    _, step = workbench_steps(run.config, prepared, Path(folder) / "run")
    serve_steps(step, time.process_time)


def compare(kind: Kind, size: str, *, compiled: bool, blocks: int, folder: str) -> list[float]:
    """mdlm's seconds a step over the objective's, a ratio a block."""
    common = (folder, str(compiled).lower(), size)
    env = os.environ | worker_environment(1)
    sequences = str(BATCH * kind.passes)
    ours = Side(__file__, *common, str(LENGTH), str(BATCH), *kind.keys, env=env)
    mdlm = Side(__file__, *common, str(kind.inputs), sequences, "objective=mdlm", env=env)
    pairs = take_turns(ours, mdlm, blocks=blocks, block_seconds=1.5)
    return [mdlms / mine for mine, mdlms in pairs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", nargs="+", default=["0.2M", "5M"])
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--only", help="objectives whose name holds this text")
    parser.add_argument("--serve", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(*arguments.serve)
        return
    print("size  objective            mode      speed / mdlm's (lowest to highest)")
    mode = "compiled" if arguments.compile else "eager"
    with tempfile.TemporaryDirectory() as folder:
        for size in arguments.sizes:
            for kind in KINDS:
                if arguments.only and arguments.only not in kind.name:
                    continue
                ratios = compare(
                    kind, size, compiled=arguments.compile, blocks=arguments.blocks, folder=folder
                )
                print(f"{size:5} {kind.name:20} {mode:9}  {spread(ratios)}", flush=True)


if __name__ == "__main__":
    main()
