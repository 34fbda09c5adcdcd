"""Items: what an evaluation's number is made of, beside the run, once for each step."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.disks import refused_at
from workbench.runs.items import (
    SCHEMA,
    TRAINING,
    Items,
    ItemsFile,
    copy_items,
    items_of,
    read_items,
    write_evaluated,
)


def made(n: int = 12, *, seed: int = 0, documents: int = 4, noise: bool = True) -> Items:
    rng = np.random.default_rng(seed)
    return Items(
        document_N=np.arange(n) % documents,
        total_N=rng.uniform(100, 200, n),
        count_N=np.full(n, 64.0),
        weight_N=np.asarray(1.0 + np.arange(n) % 3, dtype=np.float64),
        noise_variance_N=rng.uniform(1, 2, n) if noise else None,
    )


def test_the_value_is_the_weighted_mean_and_its_error_is_over_documents() -> None:
    """Against the sums written out, document by document (Cochran 1977, section 9A.4)."""
    items = made()
    top = sum(w * t for w, t in zip(items.weight_N, items.total_N, strict=True))
    below = sum(w * c for w, c in zip(items.weight_N, items.count_N, strict=True))
    assert items.value == pytest.approx(top / below)
    by_document = [0.0] * 4
    for document, total, count, weight in zip(
        items.document_N, items.total_N, items.count_N, items.weight_N, strict=True
    ):
        by_document[document] += weight * (total - count * top / below)
    expected = math.sqrt(4 / 3 * sum(part**2 for part in by_document)) / below
    assert items.stderr == pytest.approx(expected)
    assert items.documents == 4
    assert items.noise_variance_N is not None
    noise = sum(w**2 * v for w, v in zip(items.weight_N, items.noise_variance_N, strict=True))
    assert items.noise_stderr == pytest.approx(math.sqrt(noise) / below)


def test_windows_of_one_document_that_agree_are_one_observation() -> None:
    """Every window four times over in its document tells nothing more."""
    rng = np.random.default_rng(0)
    total = rng.uniform(100, 200, 10)
    ones = np.ones(10)
    single = Items(np.arange(10), total, 64 * ones, ones)
    repeated = Items(np.arange(10).repeat(4), total.repeat(4), 64 * np.ones(40), np.ones(40))
    assert repeated.value == pytest.approx(single.value)
    assert repeated.stderr == pytest.approx(single.stderr)


def test_the_error_over_documents_is_the_spread_of_the_mean_over_sets_of_documents() -> None:
    rng = np.random.default_rng(1)
    values, errors = [], []
    for _ in range(400):
        level = rng.normal(2.5, 0.3, 40).repeat(3)
        total = 64 * (level + rng.normal(0, 0.1, 120))
        items = Items(np.arange(40).repeat(3), total, np.full(120, 64.0), np.ones(120))
        values.append(items.value)
        errors.append(items.stderr)
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(np.std(values), rel=0.1)


def test_one_document_has_no_error_and_an_exact_number_no_noise() -> None:
    assert made(documents=1).stderr is None
    assert made(noise=False).noise_stderr is None


@given(st.integers(1, 40), st.booleans(), st.randoms(use_true_random=False))
def test_rows_in_any_order_give_the_items_back(n: int, noise: bool, random: object) -> None:
    items = made(n, noise=noise)
    rows = items.frame(8, "val_loss", "nelbo", 2 if noise else None)
    assert rows.schema == SCHEMA
    back = items_of(rows.sample(fraction=1, shuffle=True, seed=random.randint(0, 99)))  # type: ignore[attr-defined]
    assert back.value == pytest.approx(items.value, rel=1e-6)
    assert back.stderr == (pytest.approx(items.stderr, rel=1e-4) if items.stderr else items.stderr)
    assert back.document_N.tolist() == items.document_N.tolist()
    assert (back.noise_variance_N is None) == (not noise)


def measured(file: ItemsFile, step: int, *, seed: int = 0, draws: int = 2) -> pl.DataFrame:
    frame = made(seed=seed).frame(step, "val_loss", "nelbo", draws)
    file.add(frame)
    file.write()
    return frame


def test_a_step_that_is_measured_again_replaces_its_rows(tmp_path: Path) -> None:
    file = ItemsFile(tmp_path)
    kept = measured(file, 1)
    measured(file, 4, seed=1)
    resumed = ItemsFile(tmp_path)
    new = measured(resumed, 4, seed=2)
    last = measured(resumed, 8, draws=8)
    assert read_items(tmp_path, ["val_loss"]).equals(pl.concat([kept, new, last]))


def test_an_exact_number_that_is_measured_again_replaces_its_rows(tmp_path: Path) -> None:
    for seed in (0, 1):
        file = ItemsFile(tmp_path)
        frame = made(seed=seed, noise=False).frame(1, "val_loss", "nll", None)
        file.add(frame)
        file.write()
    assert read_items(tmp_path, ["val_loss"]).equals(frame)


def test_a_longer_run_takes_over_what_was_measured_before_it_begins(tmp_path: Path) -> None:
    file = ItemsFile(tmp_path / "parent")
    kept = pl.concat([measured(file, step, seed=step) for step in (1, 4)])
    measured(file, 8)
    (tmp_path / "child").mkdir()
    copy_items(tmp_path / "parent", tmp_path / "child" / "items", 4)
    assert read_items(tmp_path / "child" / "items", ["val_loss"]).equals(kept)


def test_an_evaluation_replaces_itself_and_no_other(tmp_path: Path) -> None:
    training = measured(ItemsFile(tmp_path), 8)
    for seed in (1, 2):
        again = made(seed=seed).frame(8, "val_loss", "nelbo", 32)
        write_evaluated(tmp_path, again)
    others = [
        made(seed=3).frame(8, "cloze_acc", "nelbo/questions=12", 32),
        made(seed=4).frame(8, "val_loss", "nelbo/seed=1", 32),
        made(seed=5).frame(4, "val_loss", "nelbo", 32),
        made(seed=6).frame(8, "val_loss", "nelbo", 64),
    ]
    for frame in others:
        write_evaluated(tmp_path, frame)
    wanted = [training, again, *(frame for frame in others if frame["metric"][0] == "val_loss")]
    key = ["step", "estimator", "draws", "item"]
    found = read_items(tmp_path, ["val_loss"])
    assert found.sort(key).equals(pl.concat(wanted).sort(key))
    assert len(read_items(tmp_path, ["cloze_acc"])) == 12


@pytest.mark.parametrize("draws", [8, None])
def test_what_training_measured_and_is_measured_again_is_there_once(
    draws: int | None, tmp_path: Path
) -> None:
    file = ItemsFile(tmp_path)
    file.add(made(seed=1).frame(8, "val_loss", "nelbo", draws))
    file.write()
    later = made(seed=2).frame(8, "val_loss", "nelbo", draws)
    write_evaluated(tmp_path, later)
    assert read_items(tmp_path, ["val_loss"]).equals(later)


def test_a_damaged_file_costs_its_own_items_alone(tmp_path: Path) -> None:
    frame = made().frame(8, "val_loss", "nelbo", 32)
    write_evaluated(tmp_path, frame)
    (tmp_path / TRAINING).write_bytes(b"PAR1 broken")
    assert read_items(tmp_path, ["val_loss"]).equals(frame)
    file = ItemsFile(tmp_path)
    measured(file, 1)
    assert sorted(read_items(tmp_path, ["val_loss"])["step"].unique()) == [1, 8]


def test_a_run_without_items_has_none(tmp_path: Path) -> None:
    found = read_items(tmp_path / "items", ["val_loss"])
    assert found.is_empty()
    assert found.schema == SCHEMA


def test_a_full_disk_is_named_and_costs_nothing_that_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "items"
    measured(ItemsFile(folder), 1)
    before = read_items(folder, ["val_loss"])
    with refused_at(500, r"training\.parquet: cannot be written"):
        measured(ItemsFile(folder), 4)
    assert read_items(folder, ["val_loss"]).equals(before), "whole or as it was"
