"""Keys of single objectives: they make runs of their own, and leave every older run as it was."""

from pathlib import Path

import pytest

from tests.conftest import RECIPE
from workbench.errors import InputError
from workbench.planning.plan import plan_study, run_id_of
from workbench.recipe import RunConfig, canonical_json, load_recipe

# Of the quickstart in protocol 2, under a fingerprint that no corpus has: without these keys.
QUICKSTART_IDS = {
    ("ar", 12_800): "4011948c320b",
    ("ar", 32_000): "9d41613a90e2",
    ("mdlm", 12_800): "cf26402b6d72",
    ("mdlm", 32_000): "43c5f70750e4",
}


def load(
    tmp_path: Path, *overrides: str, objective: str = "ar", sweep: str = ""
) -> list[RunConfig]:
    """Runs of the tiny recipe: of one objective, or of a sweep over them."""
    text = RECIPE.format(corpus="x.txt")
    path = tmp_path / "r.toml"
    path.write_text(text[: text.index("[sweep]")] + "\n[sweep]\n" + sweep)
    one = [] if sweep else [f"training.objective={objective}"]
    return load_recipe(path, [*one, *overrides]).runs


def ids(*overrides: str) -> dict[tuple[str, int], str]:
    runs = plan_study(load_recipe("quickstart", list(overrides)), Path("nowhere")).runs
    return {(r.objective, r.unique_tokens): run_id_of(r.config, "golden") for r in runs}


def test_run_ids_from_before_these_keys_stay() -> None:
    assert ids() == QUICKSTART_IDS


def test_keys_that_ask_for_nothing_make_no_other_run() -> None:
    keys = ["training.input_mask=0", "training.noise_samples=1", "training.mask_aux_weight=0"]
    assert ids(*keys, "training.block_size=8") == QUICKSTART_IDS


def test_foreign_keys_leave_and_plain_ar_is_one_run_of_a_sweep(tmp_path: Path) -> None:
    sweep = """
"training.objective" = ["ar", "mdlm", "aoar", "block"]
"training.noise_samples" = [1, 4]
"training.input_mask" = [0.0, 0.3]
"""
    runs = load(tmp_path, "training.block_size=8", sweep=sweep)
    found = [
        (t.objective, t.noise_samples, t.input_mask, t.block_size, t.noise_schedule)
        for t in (run.training for run in runs)
    ]
    assert found == [
        ("ar", None, None, None, None),
        ("ar", None, 0.3, None, None),
        ("ar", 4, 0.3, None, None),
        ("mdlm", None, None, None, "linear"),
        ("mdlm", 4, None, None, "linear"),
        ("aoar", None, None, None, None),
        ("aoar", 4, None, None, None),
        ("block", None, None, 8, "linear"),
        ("block", 4, None, 8, "linear"),
    ]


def test_every_key_of_an_objective_makes_another_run(tmp_path: Path) -> None:
    kinds = [
        [],
        ["training.input_mask=0.1"],
        ["training.input_mask=0.3"],
        ["training.input_mask=0.3", "training.mask_aux_weight=0.5"],
        ["training.input_mask=0.3", "training.noise_samples=2"],
    ]
    texts = {canonical_json(load(tmp_path, *kind)[0]) for kind in kinds}
    for size in (4, 8):
        keys = [f"training.block_size={size}"]
        texts.add(canonical_json(load(tmp_path, *keys, objective="block")[0]))
    texts.add(canonical_json(load(tmp_path, objective="aoar")[0]))
    assert len(texts) == len(kinds) + 3


@pytest.mark.parametrize(
    ("objective", "override", "message"),
    [
        ("block", "training.lr=0.1", r"needs training.block_size.*1, 2, 4, 8, 16, 32"),
        ("block", "training.block_size=5", r"block_size = 5 does not divide data.seq_len = 32"),
        ("block", "training.block_size=64", r"block_size = 64 does not divide"),
        ("ar", "training.mask_aux_weight=0.5", r"give training.input_mask"),
        ("ar", "training.input_mask=1.5", r"training.input_mask = 1.5"),
        ("ar", "training.input_mask=-0.1", r"training.input_mask"),
        ("mdlm", "training.noise_samples=0", r"training.noise_samples = 0"),
        ("aoar", "training.noise_samples=1.5", r"training.noise_samples = 1.5"),
        ("block", "training.block_size=0", r"training.block_size = 0"),
        ("blok", "training.seed=1", r"training.objective"),
    ],
)
def test_wrong_keys_are_named_with_what_would_fit(
    objective: str, override: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        load(tmp_path, override, objective=objective)
