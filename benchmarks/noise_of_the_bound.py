"""How noisy is a diffusion model's bound as it is recorded, and is it right?

    python benchmarks/noise_of_the_bound.py reference RESULTS [--runs 10]
    python benchmarks/noise_of_the_bound.py spread RESULTS RUN [--repeats 50]
    python benchmarks/noise_of_the_bound.py along RESULTS RUN BASELINE [--keys 20]

`reference` compares the last recorded `val_loss` of diffusion runs with the mean of 64 other draws
of the same checkpoints and windows. `spread` compares the noise that an evaluation states with the
spread between evaluations of one checkpoint. `along` needs a run with `training.checkpoint_points`:
it asks whether noise that is the same at each point of a curve, or drawn anew at each, moves the
crossover with a baseline's run more.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from workbench.analysis.band import crossing_along_training
from workbench.analysis.crossed import seeds_mean
from workbench.analysis.crossing import compare_curves
from workbench.data.streams import validation_windows
from workbench.evaluation.opened import Opened, open_run
from workbench.recipe.objectives import objective_facts
from workbench.runs.folder import RunFolder, list_runs
from workbench.runs.studies import find_run
from workbench.store.read_records import deduplicated, read_records
from workbench.training.trained_model import kept_steps
from workbench.training.validation import Estimate, Validation

_FAR = 1_000_000  # steps that no run here has: noise of its own
_REFERENCE_DRAWS = 64


@dataclass(frozen=True)
class Measuring:
    """A checkpoint and the windows it is measured on."""

    opened: Opened
    validation: Validation

    @classmethod
    def of(cls, run: RunFolder, step: int | None = None) -> "Measuring":
        opened = open_run(run, step=step)
        windows = validation_windows(opened.prepared(), opened.model.config.data)
        return cls(opened, Validation(windows, batch=128, draws=2))

    def loss(self, noise: int, draws: int) -> Estimate:
        trainer = self.opened.scorer.trainer
        return self.validation.evaluate(trainer, noise=noise, draws=draws)[0]


def diffusion_runs(results: Path) -> Iterator[RunFolder]:
    """Finished runs whose loss is a bound, as different in size as there are."""
    by_size: dict[int, list[RunFolder]] = {}
    for run in list_runs(results):
        document = run.config_json()
        facts = objective_facts(document["config"]["training"]["objective"])
        if facts.bound and run.status().state == "finished":
            by_size.setdefault(document["derived"]["n_params"], []).append(run)
    while any(by_size.values()):
        for runs in by_size.values():
            if runs:
                yield runs.pop(0)


def recorded(run: RunFolder) -> tuple[float, float]:
    """The last `val_loss` that training recorded, with its noise."""
    frame = deduplicated(read_records(run.records_path).frame).filter(metric="val_loss")
    last = frame.sort("step").row(-1, named=True)
    return last["value"], last["noise_stderr"]


def reference(results: Path, count: int) -> None:
    errors, within = [], 0
    runs = [run for run, _ in zip(diffusion_runs(results), range(count), strict=False)]
    for run in runs:
        value, noise = recorded(run)
        measuring = Measuring.of(run)
        true = measuring.loss(_FAR, _REFERENCE_DRAWS)
        combined = float(np.hypot(noise, true.noise_stderr or 0.0))
        errors.append(value - true.value)
        within += abs(errors[-1]) <= 2 * combined
        derived = run.config_json()["derived"]
        print(
            f"{run.run_id}  {derived['n_params']:>9,} parameters  recorded {value:.4f} "
            f"(noise {noise:.4f})  {_REFERENCE_DRAWS} draws {true.value:.4f} "
            f"({true.noise_stderr:.4f})  difference {errors[-1]:+.4f} = "
            f"{errors[-1] / combined:+.2f} combined standard errors",
            flush=True,
        )
    rms = float(np.sqrt(np.mean(np.square(errors))))
    print(f"{within} of {len(runs)} within 2; root mean square {rms:.4f} nats")


def spread(results: Path, name: str, repeats: int) -> None:
    measuring = Measuring.of(find_run(results, name))
    for draws in (2, 8):
        each = [measuring.loss(_FAR + repeat, draws) for repeat in range(repeats)]
        values = np.array([estimate.value for estimate in each])
        stated = np.sqrt(np.mean([(estimate.noise_stderr or 0.0) ** 2 for estimate in each]))
        found = values.std(ddof=1)
        print(
            f"{draws} draws: mean {values.mean():.4f}, spread {found:.4f} "
            f"(+-{found / np.sqrt(2 * (repeats - 1)):.4f}), stated {stated:.4f}, "
            f"ratio {stated / found:.2f}",
            flush=True,
        )


def along(results: Path, name: str, baseline: str, keys: int) -> None:
    run = find_run(results, name)
    steps = kept_steps(run)
    table = np.empty((len(steps), keys))
    for row, step in enumerate(steps):
        measuring = Measuring.of(run, step)
        table[row] = [measuring.loss(_FAR + key, 2).value for key in range(keys)]
        print(
            f"step {step}: {table[row].mean():.4f}, spread {table[row].std(ddof=1):.4f}", flush=True
        )
    frame = deduplicated(read_records(find_run(results, baseline).records_path).frame)
    curve = frame.filter(metric="val_loss").sort("step")
    x = np.array([float(step) for step in steps])
    base = np.interp(x, curve["step"].to_numpy(), curve["value"].to_numpy())
    np.savez(f"noise-along-{run.run_id}.npz", steps=x, table=table, base=base)
    true = table.mean(axis=1)
    point = np.arange(len(steps))
    kinds = {
        "the same at each point": [table[:, key] for key in range(keys)],
        "anew at each point": [table[point, (key + 7 * point) % keys] for key in range(keys)],
    }
    for kind, curves in kinds.items():
        for how, where in (("point", _by_point), ("band", _by_band)):
            places = np.array([where(x, base, values) for values in curves])
            centre = where(x, base, true)
            log = np.log(places / centre)
            print(
                f"{kind}, {how}: crossover of the mean curve at step {centre:.1f}; "
                f"off by {100 * log.mean():+.2f} % on average, spread {100 * log.std(ddof=1):.2f} %"
            )


def _by_point(x: np.ndarray, base: np.ndarray, other: np.ndarray) -> float:
    crossing = compare_curves(x, base, x, other, higher_is_better=False)
    return np.nan if crossing is None or crossing.crossover is None else crossing.crossover


def _by_band(x: np.ndarray, base: np.ndarray, other: np.ndarray) -> float:
    found = crossing_along_training(x, seeds_mean((base - other)[None]))
    return np.nan if found.crossover is None else found.crossover


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("reference", "spread", "along"))
    parser.add_argument("results", type=Path)
    parser.add_argument("run", nargs="?")
    parser.add_argument("baseline", nargs="?")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=50)
    parser.add_argument("--keys", type=int, default=20)
    asked = parser.parse_args()
    if asked.what == "reference":
        reference(asked.results, asked.runs)
    elif asked.what == "spread":
        spread(asked.results, asked.run, asked.repeats)
    else:
        along(asked.results, asked.run, asked.baseline, asked.keys)


if __name__ == "__main__":
    main()
