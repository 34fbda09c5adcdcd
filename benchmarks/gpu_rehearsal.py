"""The training step of the paper's 1B, rehearsed on fake GPU tensors: what it does, counted.

Four objectives, 8 sequences of 2,048 tokens on one H100 in bfloat16, eager and compiled. Counts and
the estimated time that follows from them stand in separate columns; every assumption of the
estimate is a line below the table. Nothing here was measured on a GPU.

    python benchmarks/gpu_rehearsal.py [--objectives ar mdlm] [--eager] [--compile] [--json FILE]

"Compiled" is what Dynamo and AOTAutograd capture. Which of its operations a compiler fuses is an
estimate too, at its best: kernels and bytes of compiled rows are counted after that. All layers are
rehearsed: one to three minutes a row on 2 cores.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.planning.flops import train_flops_per_data_token
from workbench.planning.gpus import GPUS
from workbench.planning.plan import plan_study
from workbench.recipe import load_recipe
from workbench.rehearsal.counts import GROUPS, TRAIN, TRAIN_LOGGED, Rehearsal
from workbench.rehearsal.estimate import H100, mfu, step_seconds
from workbench.rehearsal.start import stage

OBJECTIVES = ("ar", "mdlm", "block", "uniform", "hybrid", "aoar")
RECIPE = """
[study]
name = "rehearsed"

[data]
corpus = "none"
tokenizer = "tokenizers/gpt2.json"
unique_tokens = 1_000_000
seq_len = 2048
validation_tokens = 100_000

[model]
size = "1B"
vocab_size = 50_259

[training]
objective = "ar"
block_size = 16
uniform_noise = 0.1
total_tokens = 100_000_000
batch_size = 8
lr = 1e-4
dtype = "bfloat16"

[sweep]
"training.objective" = ["ar", "mdlm", "block", "uniform", "hybrid", "aoar"]
"""
COUNTED = (
    "kernels", "GB", "TFLOP", "host copies", "blocking", "syncs", "syncs when logging",
    "float64", "masks of another type", "peak GiB",
)  # fmt: skip


def rows(objectives: list[str], modes: list[bool], layers: int | None) -> list[dict[str, Any]]:
    """One row an objective and mode, "counted" and "estimated" apart."""
    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder) / "rehearsed.toml"
        recipe.write_text(RECIPE)
        plan = plan_study(load_recipe(recipe, []), Path(folder))
    found = []
    gpu = GPUS["h100"]
    with stage() as ready:
        for run in plan.runs:
            for compiled in modes if run.objective in objectives else []:
                done = ready.rehearse(
                    run.config, gpu, layers=layers, compiled=compiled, training_only=True
                )
                flops = train_flops_per_data_token(run.config) * run.config.tokens_per_step
                found.append(row(run.objective, done, flops, gpu.peak_flops))
                print(line(found[-1]), file=sys.stderr)
    return found


def row(objective: str, done: Rehearsal, flops: float, peak: float) -> dict[str, Any]:
    """What one rehearsal counted, and the milliseconds that follow."""
    step, logged = done.phase(TRAIN), done.phase(TRAIN_LOGGED)
    work = step.work
    seconds = step_seconds(step)
    return {
        "objective": objective,
        "mode": "compiled" if done.compiled else "eager",
        "layers": done.layers,
        "counted": {
            "kernels": work.kernels,
            "GB": work.bytes / 1e9,
            "TFLOP": work.flops / 1e12,
            "host copies": step.host_copies,
            "blocking": step.blocking_copies,
            "syncs": step.waits,
            "syncs when logging": logged.waits,
            "float64": sum(place.count for place in step.float64),
            "masks of another type": sum(place.count for place in step.masks),
            "peak GiB": max(phase.peak_bytes for phase in (step, logged)) / 2**30,
        },
        "estimated ms": {group: 1e3 * value for group, value in seconds.items()},
        "estimated MFU": mfu(seconds["step"], flops, peak),
        "phases": [asdict(phase) for phase in done.phases],
    }


def line(row: dict[str, Any]) -> str:
    """A row as one line of a Markdown table."""
    counted = [row["counted"][name] for name in COUNTED]
    milliseconds = [row["estimated ms"][name] for name in (*GROUPS, "issuing", "step")]
    cells = [
        row["objective"],
        row["mode"],
        *(f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" for value in counted),
        *(f"{value:.0f}" for value in milliseconds),
        f"{row['estimated MFU']:.1%}",
    ]
    return f"| {' | '.join(cells)} |"


def table(found: list[dict[str, Any]]) -> str:
    """All rows, and the assumptions."""
    names = ["objective", "mode", *COUNTED]
    names += [f"est. ms: {name}" for name in (*GROUPS, "issuing", "step")] + ["est. MFU"]
    lines = [f"| {' | '.join(names)} |", "|" + "---|" * len(names), *map(line, found), ""]
    lines.append("Counted: all columns but the estimated. Assumed of one H100:")
    lines += [f"    {name} = {value:g}" for name, value in asdict(H100).items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--objectives", nargs="+", default=list(OBJECTIVES), choices=OBJECTIVES)
    parser.add_argument("--eager", action="store_true", help="not compiled as well")
    parser.add_argument("--compile", action="store_true", help="not eager as well")
    parser.add_argument("--layers", type=int, help="of the model; all where left out")
    parser.add_argument("--json", type=Path, help="write all that was counted here")
    arguments = parser.parse_args()
    both = arguments.eager == arguments.compile
    modes = [False, True] if both else [arguments.compile]
    found = rows(arguments.objectives, modes, arguments.layers)
    print(table(found))
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
