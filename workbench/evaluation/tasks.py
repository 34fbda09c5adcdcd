"""The tasks that `[evaluation] tasks` and `workbench eval --tasks` can name.

A new one is a function and an entry in `TASKS`, beside its name in `recipe.task_names.TASKS`; or a
plug-in (`recipe.plugins`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from workbench.data import PreparedData
from workbench.data.tokenizers import Tokenizer, load_same_tokenizer
from workbench.errors import InputError
from workbench.evaluation.cloze import as_questions, make_questions
from workbench.evaluation.cloze_shots import make_shot_questions
from workbench.evaluation.mmlu import LETTERS, TEXTS, MmluForm, read_mmlu
from workbench.evaluation.multiple_choice import (
    ChoiceScores,
    Question,
    draws_early,
    mean_scores,
    score_choices,
)
from workbench.evaluation.question_files import TextQuestion, digest, in_tokens, read_hellaswag
from workbench.evaluation.scorer import Scorer, TrainerScorer
from workbench.recipe import RunConfig
from workbench.recipe.declarations import TaskPlugin
from workbench.recipe.plugins import Installed, Registry
from workbench.recipe.task_names import TASK_PLUGINS, reads_file_keys
from workbench.runs.items import Items
from workbench.training.trainer import StudyTrainer
from workbench.training.validation import Estimate

SEPARATOR = "\n\n"  # between the passages of k-shot cloze


@dataclass(frozen=True)
class Measured:
    """One number of one task."""

    metric: str
    estimate: Estimate
    estimator: str
    items: Items | None = None
    """What it is made of, where that is known."""


@dataclass(frozen=True)
class TaskInputs:
    """What tasks are made from."""

    context: int
    """Tokens that the model takes."""
    tokenizer: Callable[[], Tokenizer]
    prepared: Callable[[], PreparedData]
    questions: int | None
    """At most so many; None for all of a file."""
    draws: int
    seed: int
    shots: tuple[int, ...]
    """Numbers of solved examples before a question."""
    files: dict[str, Path]
    batch: int
    """Sequences in one forward pass."""
    early: float | None = None
    """Standard errors by which an option must lead for a question to take no more draws, where
    there are many; None to take all."""

    def file(self, name: str) -> Path:
        """The path of a file of questions.

        Raises:
            InputError: it was not given.
        """
        if name not in self.files:
            raise InputError(
                f"{name}: where are its questions? Give --task-file {name}=PATH, or in a recipe "
                f'evaluation.task_files = {{ {name} = "PATH" }}.'
            )
        return self.files[name]


@dataclass(frozen=True)
class Task:
    """One task, ready to be asked of any model with this context and tokenizer."""

    questions: dict[str, list[Question]]
    """By the beginning of the metrics' names."""
    measures: tuple[str, ...]
    inputs: TaskInputs
    notes: tuple[str, ...] = ()
    marks: str = ""
    """Added to the numbers' estimator, where it is not a function of the rest."""
    mean_of_all: str = ""
    """The beginning of the names of means over all of `questions`, which are then the same
    questions asked in several ways; none where empty."""
    mean_marks: str = ""
    """Added to the estimator of those."""

    def ask(self, scorer: Scorer, *, marks: str = "") -> Iterator[Measured]:
        """Measure the model as it stands.

        Args:
            marks: added to the estimator's name.
        """
        inputs = self.inputs
        draws = scorer.objective.answer_draws(inputs.draws)
        noisy = scorer.objective.answer_draws(2) > 1
        early = inputs.early if draws_early(scorer, inputs.draws) else None
        if early is not None:
            marks = f"/early={early:g}{marks}"
        estimator = f"{scorer.objective.validation_estimator}{marks}{self.marks}"
        asked = []
        for stem, questions in self.questions.items():
            scores = score_choices(
                scorer,
                questions,
                context=inputs.context,
                draws=inputs.draws,
                seed=inputs.seed,
                batch=inputs.batch,
                early=early,
            )
            asked.append(scores)
            yield from self._measured(stem, scores, estimator, draws if noisy else None)
        if self.mean_of_all:
            estimator += self.mean_marks
            scores = mean_scores(asked)
            yield from self._measured(self.mean_of_all, scores, estimator, draws if noisy else None)

    def _measured(
        self, stem: str, scores: ChoiceScores, estimator: str, draws: int | None
    ) -> Iterator[Measured]:
        for measure in self.measures:
            items = scores.items(measure)
            estimate = replace(MEASURES[measure](scores), draws=draws)
            if (scores.document_Q >= 0).all():
                estimate = replace(estimate, stderr=items.stderr, documents=items.documents)
            yield Measured(f"{stem}_{measure}", estimate, estimator, items)


MEASURES: dict[str, Callable[[ChoiceScores], Estimate]] = {
    "acc": ChoiceScores.accuracy,
    "acc_norm": ChoiceScores.accuracy_norm,
    "nll_true": ChoiceScores.nll_true,
    "nll_other": ChoiceScores.nll_other,
}
_WITH_NLL = ("acc", "nll_true", "nll_other")


def _cloze(inputs: TaskInputs) -> Task:
    made = make_questions(inputs.prepared(), seq_len=inputs.context, count=inputs.questions or 1000)
    return Task({"cloze": as_questions(made)}, _WITH_NLL, inputs)


def _cloze_shots(inputs: TaskInputs) -> Task:
    separator = [int(token) for token in inputs.tokenizer().encode([SEPARATOR])[0]]
    made = make_shot_questions(
        inputs.prepared(),
        context=inputs.context,
        shots=inputs.shots,
        separator=separator,
        count=inputs.questions or 1000,
    )
    stems = {f"cloze_{shots}shot": questions for shots, questions in made.items()}
    return Task(stems, _WITH_NLL, inputs)


def _hellaswag(inputs: TaskInputs) -> Task:
    path = inputs.file("hellaswag")
    questions = read_hellaswag(path, inputs.questions)
    return _from_texts(inputs, {"hellaswag": questions}, ("acc_norm", *_WITH_NLL), path)


def _mmlu(inputs: TaskInputs) -> Task:
    """Ask for the letter of the answer (Hendrycks et al. 2021)."""
    texts = {
        f"mmlu_{shots}shot" if shots else "mmlu": questions
        for shots, questions in _mmlu_texts(inputs, LETTERS).items()
    }
    return _from_texts(inputs, texts, ("acc",), inputs.file("mmlu"))


def _mmlu_continuation(inputs: TaskInputs) -> Task:
    """Ask for the text of the answer, per character and averaged over numbers of shots: the
    protocol of arXiv 2511.03276, Table 1, which averages over 0 to 5."""
    by_shots = _mmlu_texts(inputs, TEXTS)
    texts = {f"mmlu_{shots}shot": questions for shots, questions in by_shots.items()}
    task = _from_texts(inputs, texts, ("acc_norm",), inputs.file("mmlu"))
    marks = f"/shots={','.join(map(str, by_shots))}"
    return replace(task, mean_of_all="mmlu", mean_marks=marks)


def _mmlu_texts(inputs: TaskInputs, form: MmluForm) -> dict[int, list[TextQuestion]]:
    """The questions by their number of shots."""
    path, dev = inputs.file("mmlu"), inputs.files.get("mmlu_dev")
    return {
        shots: read_mmlu(path, dev, shots, form=form, limit=inputs.questions)
        for shots in sorted(inputs.shots)
    }


def _from_texts(
    inputs: TaskInputs,
    texts: dict[str, list[TextQuestion]],
    measures: tuple[str, ...],
    path: Path,
) -> Task:
    tokenizer = inputs.tokenizer()
    questions = {stem: in_tokens(of_stem, tokenizer) for stem, of_stem in texts.items()}
    notes = tuple(
        note for stem, of_stem in questions.items() if (note := _cut(stem, of_stem, inputs.context))
    )
    return Task(questions, measures, inputs, notes, marks=f"/file={digest(path)[:8]}")


def _cut(stem: str, questions: list[Question], context: int) -> str | None:
    """Return a note where questions do not fit the model's context, or None."""
    longest = [
        len(question.context) + max(len(option) for option in question.options)
        for question in questions
    ]
    beyond = sum(length > context for length in longest)
    if not beyond:
        return None
    return (
        f"{stem}: {beyond} of {len(questions)} questions are longer than the model's context of "
        f"{context} tokens and lose their beginning (the longest has {max(longest)})."
    )


TaskMaker = Callable[[TaskInputs], Task]


def _of_plugin(plugin: Installed, declaration: TaskPlugin) -> TaskMaker:
    """A plug-in's task, its `numbers` in the estimator."""
    make = plugin.code()

    def made(inputs: TaskInputs) -> Task:
        task = plugin.call(make, inputs)
        if not isinstance(task, Task):
            raise InputError(f"the task {plugin.name} ({plugin}) made no evaluation.tasks.Task.")
        return replace(task, marks=f"{task.marks}/numbers={declaration.numbers}")

    return made


TASKS: Registry[TaskMaker, TaskPlugin] = Registry(
    {
        "cloze": _cloze,
        "cloze_shots": _cloze_shots,
        "hellaswag": _hellaswag,
        "mmlu": _mmlu,
        "mmlu_continuation": _mmlu_continuation,
    },
    TASK_PLUGINS,
    _of_plugin,
)


TrainingTask = Callable[[StudyTrainer], Iterator[Measured]]
"""Measures a run's model while it trains."""


def training_tasks(config: RunConfig, prepared: PreparedData) -> list[TrainingTask]:
    """The tasks of `[evaluation]`, to be asked of the run's trainer while it trains.

    Raises:
        InputError: a file of questions is missing, damaged, or not the one the run was planned
            with; or the held-out text is too little.
    """
    evaluation = config.evaluation
    files = {}
    for name, file in (evaluation.task_files or {}).items():
        files[name] = Path(file.path)
        if digest(files[name]) != file.sha256:
            raise InputError(
                f"evaluation.task_files: {name} = {file.path} has changed since this run was "
                "planned. Put the old file back, or plan a new run."
            )

    def made(name: str) -> Task:
        of_file = reads_file_keys(name)
        draws = evaluation.task_draws if of_file else evaluation.cloze_draws
        return TASKS[name](
            TaskInputs(
                context=config.data.seq_len,
                tokenizer=lambda: load_same_tokenizer(
                    config.data.tokenizer, prepared.manifest["tokenizer"], "this run"
                ),
                prepared=lambda: prepared,
                questions=evaluation.task_questions if of_file else evaluation.cloze_questions,
                draws=draws or 1,  # none where the likelihood is exact
                seed=0,
                shots=evaluation.shots or (),
                files=files,
                batch=config.scored_at_once,
            )
        )

    def asked(task: Task) -> TrainingTask:
        return lambda trainer: task.ask(TrainerScorer(trainer))

    return [asked(made(name)) for name in evaluation.tasks]


def batch_for(context: int) -> int:
    """Sequences in one forward pass where no recipe says: what keeps a small model's activations
    in the cache of a core."""
    return max(1, _TOKENS_AT_ONCE // context)


_TOKENS_AT_ONCE = 4096
