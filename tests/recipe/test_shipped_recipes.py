"""The shipped recipes plan: published numbers at the published scale, half an hour on two cores."""

import re
from collections import Counter
from pathlib import Path

import pytest

from workbench.planning.flops import forward_flops_per_token
from workbench.planning.gpus import GPUS, HEADROOM, gpu_costs, gpu_table_row
from workbench.planning.memory import memory_per_gpu
from workbench.planning.plan import Plan, plan_study
from workbench.planning.trunks import trunks
from workbench.recipe import (
    Recipe,
    RunConfig,
    canonical_json,
    load_recipe,
    recipe_folder,
    shipped_recipes,
)

RECIPES = shipped_recipes()
PAPER, GPU, CPU, FIELD = (
    [r for r in RECIPES if r.startswith(folder)] for folder in ("paper/", "gpu/", "cpu/", "field/")
)

B = 10**9
STEPS = 183_105  # 96B tokens in batches of 256 x 2048
# Parameters (published, else the shape's), epochs and steps of each study of the paper.
PUBLISHED: dict[str, tuple[set[float], set[float], set[int]]] = {
    "figure-01-unique-tokens": ({1.086e9}, {192, 96, 64, 9.6, 1}, {STEPS}),
    "figure-02-quality": ({1.086e9}, {96}, {STEPS}),
    "figure-03-size": ({1.086e9, 2.16e9, 4.23e9, 8.64e9}, {96}, {STEPS}),
    "figure-04-sparsity": ({1.086e9, 8.64e9, 8.02e9}, {96}, {STEPS}),
    "figure-05-input-masking": ({1.086e9}, {96}, {STEPS}),
    "figure-06-dropout": ({1.086e9}, {192}, {STEPS}),
    "figure-07-coder": ({1.733e9}, {1400 / 9}, {357_627}),
    "figure-10-480-epochs": ({1.086e9}, {96, 480}, {STEPS, 915_527}),
}


def load(name: str) -> Recipe:
    return load_recipe(name)


def plan(name: str, tmp_path: Path) -> Plan:
    return plan_study(load(name), tmp_path)


def test_every_study_of_the_paper_has_a_small_counterpart() -> None:
    assert set(PUBLISHED) | {"figure-11-overfitting"} <= {r.removeprefix("paper/") for r in PAPER}
    without = {r.removeprefix("paper/") for r in PAPER} - {r.removeprefix("cpu/") for r in CPU}
    assert without == {"figure-07-coder"}  # its counterpart is its annealing phase


def test_studies_have_names_of_their_own() -> None:
    names = [
        re.search(r'^name = "(.*)"', (recipe_folder() / f"{name}.toml").read_text(), re.M)
        for name in RECIPES
    ]
    assert len({name.group(1) for name in names if name}) == len(RECIPES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_says_what_it_asks_and_where_that_comes_from(name: str) -> None:
    text = (recipe_folder() / f"{name}.toml").read_text()
    assert text.startswith("# ")
    assert max(map(len, text.splitlines())) <= 100
    study = load(name).study
    assert study.question.endswith("?")
    assert study.source


@pytest.mark.parametrize("name", PAPER + GPU + FIELD)
def test_runs_fit_into_an_h100_and_recompute_only_what_hardly_fits_otherwise(
    name: str, tmp_path: Path
) -> None:
    """Training and evaluation, with the settings of the recipe and a tenth of the memory left."""
    planned = plan(name, tmp_path)
    for run, row in zip(planned.runs, gpu_costs(planned, tmp_path, GPUS["h100"]), strict=True):
        assert gpu_table_row(row)["fits"] == "yes", run.config.training
        training = run.config.training.model_copy(update={"activation_checkpointing": None})
        kept = memory_per_gpu(run.config.model_copy(update={"training": training})).total
        if run.config.training.activation_checkpointing:
            assert kept > 0.9 * HEADROOM * 80e9


@pytest.mark.parametrize("name", PAPER)
def test_paper_recipes_plan_with_the_published_numbers(name: str, tmp_path: Path) -> None:
    planned = plan(name, tmp_path)
    assert {run.objective for run in planned.runs} >= {"ar", "mdlm"}
    for run in planned.runs:
        batch, seq_len = (1024, 4096) if "coder" in name else (256, 2048)
        assert run.config.tokens_per_step == batch * seq_len
        assert run.steps == run.total_tokens // (batch * seq_len)
        assert run.config.model.vocab_size == 50_304
        training = run.config.training
        assert training.lr * training.min_lr_ratio == pytest.approx(training.lr / 10)
        assert (training.betas, training.grad_clip) == ((0.9, 0.95), 1.0)
    if (expected := PUBLISHED.get(name.removeprefix("paper/"))) is None:
        return
    sizes, epochs, steps = expected
    assert {run.steps for run in planned.runs} == steps
    found = {run.row()["epochs"] for run in planned.runs}
    assert sorted(found) == pytest.approx(sorted(epochs), rel=1e-5)
    for size in sizes:
        assert any(abs(run.n_params / size - 1) < 0.005 for run in planned.runs), size
    for run in planned.runs:
        assert any(abs(run.n_params / size - 1) < 0.005 for size in sizes), run.n_params
    if "sparsity" in name:
        assert min(run.n_params_active for run in planned.runs) == pytest.approx(B, rel=0.005)


def test_the_epochs_of_figure_1_are_those_of_its_budgets(tmp_path: Path) -> None:
    planned = plan("paper/figure-01-unique-tokens", tmp_path)
    told = {run.unique_tokens: run.epochs for run in planned.runs}
    assert told == {B // 2: 192, B: 96, 3 * B // 2: 64, 10 * B: 9.6, 96 * B: 1}


def forward_passes(config: RunConfig, *, draws: int | None = None, shared: int = 0) -> float:
    """FLOPs of a run in training and in evaluation, which is most of a small diffusion run.

    Args:
        draws: of validation, in place of the recipe's.
        shared: steps that a shorter run trains and evaluates for it.
    """
    training, evaluation = config.training, config.evaluation
    objective = training.objective
    # Two streams are twice the sequence, an auxiliary loss is a second pass.
    streams = {"block": 2.0, "aoar": 2.0}.get(objective, 1.0)
    models = 1 + bool(training.ema) + bool(training.average)  # what each evaluation asks
    noisy = objective != "ar" or getattr(training, "input_mask", None)
    passes = (getattr(training, "noise_samples", None) or 1) if noisy else 1
    passes *= 2 if getattr(training, "mask_aux_weight", None) else 1
    trained = 3 * streams * passes * (config.steps - shared) * config.tokens_per_step
    cloze = (evaluation.cloze_questions or 0) * 4 * config.data.seq_len
    on_curve = draws or evaluation.validation_draws or 1
    last = draws or evaluation.validation_draws_last or 1
    points = len([step for step in config.evaluation_steps if step > shared]) - 1
    read = config.data.validation_tokens * (points * on_curve + last)
    read += cloze * (evaluation.cloze_draws or 1) * (points + 1)
    shape = config.model.model_copy(update={"vocab_size": 264}).shape
    each = forward_flops_per_token(shape, config.data.seq_len, causal=False)
    return (trained + models * streams * read) * each


def seconds_on_two_cores(recipe: Recipe) -> float:
    """From the quickstart's 130 seconds, measured when validation took one draw, and half a
    second between runs."""
    quickstart = sum(forward_passes(run, draws=1) for run in load_recipe("quickstart").runs)
    shared = trunks((str(place), run, "") for place, run in enumerate(recipe.runs))
    passes = sum(
        forward_passes(run, shared=shared.shared_steps(str(place)))
        for place, run in enumerate(recipe.runs)
    )
    return 130 * passes / quickstart + len(recipe.runs) / 2


def claimed_minutes(name: str) -> float:
    """What a recipe's first lines say of its time on two cores."""
    text = (recipe_folder() / f"{name}.toml").read_text().partition("[study]")[0]
    words = " ".join(text.replace("#", " ").split())
    claim = re.search(
        r"(half an hour|three quarters of an hour|an hour|\d+ to (\d+) hours) on 2 cores", words
    )
    assert claim, words
    if claim.group(2):
        return 60 * float(claim.group(2))
    minutes = {"half an hour": 30, "three quarters of an hour": 45, "an hour": 60}
    return minutes[claim.group(1)]


SEEDS = {
    "cpu/scaling-law": 3,  # of a grid that has 80 configurations a side
    "cpu/transfer": 3,  # as of that one
    "cpu/strongest-rivals-screen": 1,  # it chooses what five seeds confirm
}


@pytest.mark.parametrize("name", CPU)
def test_cpu_recipes_take_the_time_they_say_and_five_seeds(name: str, tmp_path: Path) -> None:
    recipe = load(name)
    assert plan_study(recipe, tmp_path).runs
    seeds = {(run.data.seed, run.training.seed) for run in recipe.runs}
    if name == "cpu/strongest-rivals-members":  # two more of each text, and none of the study's own
        assert Counter(data for data, _ in seeds) == dict.fromkeys(range(5), 2)
        assert not {training for _, training in seeds} & set(range(5))
    else:
        assert seeds == {(seed, seed) for seed in range(SEEDS.get(name, 5))}
    assert {run.data.validation_documents for run in recipe.runs} == {
        60 if name == "cpu/five-corpora" else 300  # of a corpus of 139 documents
    }
    assert seconds_on_two_cores(recipe) <= claimed_minutes(name) * 60


def test_the_members_of_an_ensemble_differ_from_the_study_they_complete_in_their_seed_alone() -> (
    None
):
    """Under each optimizer: what is chosen in one recipe has to be chosen in the other."""

    def without_seeds(name: str) -> dict[str, str]:
        return {
            str(run.training.optimizer): canonical_json(
                run.model_copy(
                    update={
                        "data": run.data.model_copy(update={"seed": 0}),
                        "training": run.training.model_copy(update={"seed": 0}),
                    }
                )
            )
            for run in load(name).runs
            if run.training.objective == "ar"
        }

    assert without_seeds("cpu/strongest-rivals-members") == without_seeds("cpu/strongest-rivals")


def test_the_gpu_recipe_takes_half_an_hour_at_the_speed_it_assumes(tmp_path: Path) -> None:
    planned = plan("gpu/unique-budget", tmp_path)
    speed = {"25M": 2.0e14, "100M": 2.5e14}
    seconds = sum(run.train_flops / speed[str(run.config.model.size)] for run in planned.runs)
    assert seconds <= 25 * 60
    assert {run.unique_tokens for run in planned.runs} == {500_000, 1_000_000, 2_000_000}
    assert max(run.unique_tokens for run in planned.runs) < 10_786_507 / 4, "bytes of the corpus"


def test_attribution_asks_a_gpu_what_it_asks_a_cpu_within_an_hour(tmp_path: Path) -> None:
    """The same variants, three seeds of each, at the speed that the recipe assumes."""

    def variants(name: str) -> set[tuple[object, ...]]:
        return {
            (
                run.training.objective,
                run.training.input_mask,
                run.training.noise_samples,
                run.model.dropout,
                run.model.loops,
            )
            for run in load(name).runs
        }

    planned = plan("gpu/attribution", tmp_path)
    assert variants("gpu/attribution") == variants("cpu/attribution")
    assert len(planned.runs) == 3 * len(variants("gpu/attribution"))
    assert sum(run.train_flops for run in planned.runs) / 2.0e14 <= 3600
