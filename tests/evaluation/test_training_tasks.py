"""`[evaluation]` with tasks from files: what they cost a run's identity, and what it records."""

from pathlib import Path

import pytest

from tests.conftest import RECIPE, TrainedRuns
from tests.evaluation.test_question_files import HELLASWAG, MMLU, written
from workbench.data import PreparedData
from workbench.errors import InputError
from workbench.evaluation.held_out_loss import held_out_tasks
from workbench.evaluation.memorisation import memorisation_task
from workbench.evaluation.tasks import Measured, training_tasks
from workbench.planning.plan import plan_study, run_id_of
from workbench.planning.prepare import prepare_study
from workbench.recipe import Recipe, RunConfig, load_recipe, run_config
from workbench.recipe.task_names import TASK_DRAWS
from workbench.running import worker
from workbench.running.study import make_folders, run_study
from workbench.store.read_records import read_records
from workbench.training.trained_model import as_trainer, load_run_model


def recipe_with(tmp_path: Path, corpus: Path, evaluation: str, *overrides: str) -> Recipe:
    path = tmp_path / "tasks.toml"
    head, sweep = RECIPE.format(corpus=corpus).split("[sweep]")
    head = head.replace('tasks = ["cloze"]\n', "")
    path.write_text(f"{head}{evaluation}\n[sweep]{sweep}")
    return load_recipe(path, list(overrides))


def files(tmp_path: Path) -> str:
    hellaswag = written(tmp_path / "h.jsonl", *[HELLASWAG] * 3)
    mmlu = written(tmp_path / "m.jsonl", MMLU, {**MMLU, "answer": 2})
    dev = written(tmp_path / "d.jsonl", MMLU)
    return f'task_files = {{ hellaswag = "{hellaswag}", mmlu = "{mmlu}", mmlu_dev = "{dev}" }}'


ALL = 'tasks = ["cloze", "cloze_shots", "hellaswag", "mmlu", "mmlu_continuation"]\nshots = [0, 1]\n'


def test_the_quickstarts_run_ids_are_those_of_before_there_were_such_tasks() -> None:
    fingerprint = "c365a24df604c5183af8b84fe5898f2e4ba5bb9a900e1abcd554283d519059ac"

    def with_vocabulary(config: RunConfig) -> RunConfig:
        return config.model_copy(
            update={"model": config.model.model_copy(update={"vocab_size": 264})}
        )

    ids = [
        run_id_of(with_vocabulary(config), fingerprint) for config in load_recipe("quickstart").runs
    ]
    assert ids == ["9d1f636f9f36", "f78776e97ed1", "ee590c0988b4", "73269c61f97c"]


@pytest.mark.training
@pytest.mark.parametrize("objective", ["ar", "mdlm"])
def test_tasks_are_asked_during_training(tmp_path: Path, corpus: Path, objective: str) -> None:
    recipe = recipe_with(tmp_path, corpus, ALL + files(tmp_path), f"training.objective={objective}")
    (run,) = make_folders(recipe, prepare_study(recipe, tmp_path), tmp_path).values()
    assert worker.main(run.path) == worker.FINISHED
    records = read_records(run.records_path).frame
    for metric, n in {
        "cloze_acc": 16, "cloze_0shot_acc": 16, "cloze_1shot_nll_other": 16,
        "hellaswag_acc_norm": 3, "hellaswag_nll_true": 3, "mmlu_acc": 2, "mmlu_1shot_acc": 2,
        "mmlu_1shot_acc_norm": 2, "mmlu_acc_norm": 2,
    }.items():  # fmt: skip
        recorded = records.filter(metric=metric)
        assert recorded["step"].to_list() == [1, 4, 8, 12]
        assert set(recorded["n"]) == {n}
        assert recorded["value"].is_finite().all()
    for model in ("unigram", "bigram"):
        level = records.filter(metric=f"cloze_chance_{model}")
        assert level["step"].to_list() == [1], "it is the same at every evaluation"
    (estimator,) = set(records.filter(metric="mmlu_acc_norm")["estimator"])
    assert estimator.endswith("/shots=0,1")
    of_letters = records.filter(metric="mmlu_acc")
    (estimator,) = set(of_letters["estimator"])
    assert estimator.startswith("nll/file=" if objective == "ar" else "nelbo/file=")
    assert set(of_letters["draws"]) == {None if objective == "ar" else TASK_DRAWS}


def test_what_a_file_holds_decides_the_run_and_not_where_it_lies(
    tmp_path: Path, corpus: Path
) -> None:
    def ids() -> list[str | None]:
        recipe = recipe_with(tmp_path, corpus, ALL + given)
        prepare_study(recipe, tmp_path)
        return [run.run_id for run in plan_study(recipe, tmp_path).runs]

    given = files(tmp_path)
    first = ids()
    (tmp_path / "h.jsonl").rename(tmp_path / "moved.jsonl")
    given = given.replace("h.jsonl", "moved.jsonl")
    assert ids() == first
    written(tmp_path / "moved.jsonl", HELLASWAG)
    assert not set(ids()) & set(first)


def test_a_file_that_no_task_reads_changes_nothing(tmp_path: Path, corpus: Path) -> None:
    cloze = 'tasks = ["cloze"]\n'
    plain = recipe_with(tmp_path, corpus, cloze).runs
    assert recipe_with(tmp_path, corpus, f"{cloze}shots = [3]\n{files(tmp_path)}").runs == plain


def test_a_plan_defers_files_that_are_not_here_and_a_run_refuses_them(
    tmp_path: Path, corpus: Path
) -> None:
    given = files(tmp_path)
    (tmp_path / "m.jsonl").unlink()
    recipe = recipe_with(tmp_path, corpus, ALL + given)
    prepare_study(recipe_with(tmp_path, corpus, 'tasks = ["cloze"]'), tmp_path)
    plan = plan_study(recipe, tmp_path)
    assert [run.run_id for run in plan.runs] == [None, None]
    assert any("m.jsonl" in note for note in plan.deferred)
    with pytest.raises(InputError, match=r'evaluation\.task_files: mmlu = ".*m\.jsonl": no such'):
        run_study(recipe, tmp_path)


@pytest.mark.training
def test_a_file_that_changed_after_planning_fails_the_run(tmp_path: Path, corpus: Path) -> None:
    recipe = recipe_with(tmp_path, corpus, ALL + files(tmp_path), "training.objective=ar")
    (run,) = make_folders(recipe, prepare_study(recipe, tmp_path), tmp_path).values()
    written(tmp_path / "h.jsonl", HELLASWAG)
    assert worker.main(run.path) == worker.FAILED
    assert "has changed since this run was planned" in str(run.status().error)


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        ('tasks = ["hellaswag"]', '"hellaswag" needs its questions: evaluation.task_files'),
        ('tasks = ["humaneval"]', "workbench eval RUN --tasks humaneval"),
        ('tasks = ["helaswag"]', "did you mean 'hellaswag'"),
        ('tasks = ["mmlu"]\nshots = [5]\ntask_files = { mmlu = "x" }', "mmlu_dev, which is"),
        ('tasks = ["mmlu"]\nshots = []\ntask_files = { mmlu = "x" }', "different numbers"),
        ('tasks = ["mmlu"]\nshots = [1, 1]\ntask_files = { mmlu = "x" }', "different numbers"),
        ('tasks = ["mmlu"]\ntask_files = { mmlu = "x", mnlu_dev = "y" }', "mean 'mmlu_dev'"),
        ('tasks = ["mmlu"]\ntask_files = { mmlu = 3 }', "task_files"),
        ('tasks = ["cloze_shots"]\nshots = [-1]', "shots"),
    ],
)  # fmt: skip
def test_wrong_keys_are_refused(
    tmp_path: Path, corpus: Path, evaluation: str, message: str
) -> None:
    with pytest.raises(InputError) as refused:
        recipe_with(tmp_path, corpus, evaluation)
    assert message in str(refused.value)


@pytest.mark.parametrize("objective", ["ar", "mdlm", "block", "aoar"])
def test_an_evaluation_passes_as_many_sequences_at_once_as_a_rank_trains_on(
    trained: TrainedRuns, objective: str
) -> None:
    """Not the global batch, which no GPU has room for; and no number depends on it."""
    run = trained[objective]
    document = run.config_json()
    config = run_config(document)
    prepared = PreparedData.open(run.results / document["data"]["folder"])
    evaluation = config.evaluation.model_copy(update={"memorisation": 6})
    loaded = load_run_model(run, device="cpu")
    passed: list[int] = []
    loaded.model.register_forward_pre_hook(lambda _, given: passed.append(len(given[0])))

    def measured(**training: int) -> tuple[RunConfig, list[Measured]]:
        ours = config.model_copy(
            update={
                "training": config.training.model_copy(update=training),
                "evaluation": evaluation,
            }
        )
        tasks = held_out_tasks(ours, prepared, run) + training_tasks(ours, prepared)
        tasks.append(memorisation_task(ours, prepared))
        asked = as_trainer(loaded)
        asked.step = 1
        passed.clear()
        return ours, [one for task in tasks for one in task(asked)]

    ours, found = measured(micro_batch_size=4)
    assert max(passed) == ours.scored_at_once == 4
    ours, of_whole_batches = measured()
    assert max(passed) == ours.scored_at_once == ours.training.batch_size
    for one, other in zip(found, of_whole_batches, strict=True):
        assert one.metric == other.metric
        assert one.estimate.value == pytest.approx(other.estimate.value, rel=1e-5)
        assert one.estimate.stderr == pytest.approx(other.estimate.stderr, rel=1e-4)
