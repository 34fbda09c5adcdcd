"""How long a thousand 4-way questions take on a trained run: `eval_speed.py RESULTS [RUN ...]`.

Measured on cloze questions made from the run's own held-out text, as `workbench eval` scores
them. Prints one line a run: seconds of the wall and of the processor, and scored tokens a second.
"""

import sys
import time
from pathlib import Path

from workbench.data import PreparedData
from workbench.evaluation.cloze import as_questions, make_questions
from workbench.evaluation.multiple_choice import score_choices
from workbench.evaluation.scorer import ModelScorer
from workbench.evaluation.tasks import batch_for
from workbench.runs.folder import list_runs
from workbench.runs.studies import find_run
from workbench.training.trained_model import load_run_model

QUESTIONS, DRAWS = 1000, 32


def main(results: Path, names: list[str], threads: int = 2) -> None:
    for name in names or [run.run_id for run in list_runs(results)]:
        run = find_run(results, name)
        prepared = PreparedData.open(results / run.config_json()["data"]["folder"])
        loaded = load_run_model(run, device="cpu")
        scorer = ModelScorer(loaded, threads=threads)
        questions = as_questions(make_questions(prepared, seq_len=loaded.context, count=QUESTIONS))
        wall, cpu = time.perf_counter(), time.process_time()
        scores = score_choices(
            scorer, questions, context=loaded.context, draws=DRAWS, batch=batch_for(loaded.context)
        )
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        draws = scorer.objective.answer_draws(DRAWS)
        tokens = QUESTIONS * 4 * draws * loaded.context
        print(
            f"{run.run_id} {scorer.objective.name}: {QUESTIONS} questions, {draws} draws, "
            f"{wall:.1f} s of the wall, {cpu:.1f} s of the processor, "
            f"{tokens / wall:,.0f} tokens/s, accuracy {scores.accuracy().value:.3f}"
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
