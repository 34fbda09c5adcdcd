"""Run folders for scripted workers, and a look at processes from outside."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from workbench.recipe import load_recipe
from workbench.running.study import train_folders
from workbench.runs.folder import RunFolder, list_runs

REPOSITORY = Path(__file__).parents[2]
SCRIPTED = {
    "WORKBENCH_WORKER_MODULE": "tests.running.scripted_worker",
    "PYTHONPATH": str(REPOSITORY),
}


def make_run(results: Path, run_id: str, *behaviour: str, ranks: int = 1) -> RunFolder:
    """A run as the runner makes them; `behaviour` is one word an attempt."""
    overrides = [f"parallelism.replicate={ranks}", 'training.device="cpu"']
    spec = load_recipe(REPOSITORY / "recipes" / "quickstart.toml", overrides).runs[0]
    derived = {
        "n_params": 200_000,
        "n_params_non_embedding": 180_000,
        "n_params_active": 200_000,
        "vocab_size": 264,
        "steps": spec.steps,
        "tokens_per_step": spec.tokens_per_step,
        "epochs": 1.0,
        "train_flops": 1e9,
    }
    config = {
        "schema": 1,
        "run_id": run_id,
        "parent": None,
        "data": {"fingerprint": "0" * 16, "folder": "data/0"},
        "config": spec.model_dump(mode="json"),
        "derived": derived,
    }
    run = RunFolder.create(results, run_id, config, {})
    (run.path / "behaviour").write_text("\n".join(behaviour))
    return run


def attempts(run: RunFolder) -> list[int]:
    """The process of each attempt so far."""
    path = run.path / "steps"
    return [int(pid) for pid in path.read_text().split()] if path.exists() else []


def wait_until(true: Callable[[], object], what: str, timeout: float = 20.0) -> None:
    """Poll, and fail with `what` did not come about."""
    deadline = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < deadline, f"in vain: {what}"
        time.sleep(0.01)


def gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def orchestrate(results: Path, jobs: int) -> int:
    """What `python -m tests.running.studies RESULTS JOBS` does: train every run there."""
    folders = {run.run_id: run for run in list_runs(results)}
    try:
        report = train_folders(
            "scripted", folders, results, jobs=jobs, keep_going=True, retry_failed=False
        )
    except KeyboardInterrupt:
        return 130
    print(report.summary(), file=sys.stderr)
    return 0 if report.ok else 1


if __name__ == "__main__":
    sys.exit(orchestrate(Path(sys.argv[1]), int(sys.argv[2])))
