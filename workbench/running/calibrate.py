"""A short measurement of this machine's training speed, for `workbench plan --calibrate`."""

import tempfile
from pathlib import Path

from workbench import stages
from workbench.errors import WorkbenchError
from workbench.planning.plan import Plan, calibration_path
from workbench.recipe import load_recipe
from workbench.recipe.objectives import BASELINE
from workbench.running.study import run_study
from workbench.runs.files import check_writable, write_json
from workbench.store import query

_STEPS = 40


def calibrate(plan: Plan, results: Path) -> float:
    """Train the quickstart's model for a few steps and save the FLOPs a second it reached.

    The measurement is a real run, in a folder of its own that is thrown away. Larger models
    reach more: their estimates come out too long rather than too short.

    Returns:
        Training FLOPs a second of one rank, without evaluation.
    """
    check_writable(results)
    stages.doing("measuring the speed of a small model")
    with tempfile.TemporaryDirectory(prefix="workbench-calibration-") as folder:
        threads = plan.runs[0].config.training.threads
        recipe = load_recipe(
            "quickstart",
            [
                f'training.objective="{BASELINE}"',
                "data.unique_tokens=32000",
                f"training.total_tokens={_STEPS * 2048}",
                f"training.threads={threads}",
                "training.log_every=10",
                "evaluation.points=1",
                "evaluation.tasks=[]",
            ],
        )
        report = run_study(recipe, Path(folder), jobs=1)
        if not report.ok:
            raise WorkbenchError("the calibration run failed: see the lines above.")
        speed = query(
            Path(folder),
            """SELECT median(value * train_flops / (steps * batch_size * seq_len))
               FROM metrics JOIN runs USING (run_id)
               WHERE metric = 'tokens_per_second' AND metrics.step > 1""",
        ).item()
    write_json(calibration_path(results), {"flops_per_second": speed})
    return float(speed)
