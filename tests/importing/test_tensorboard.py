"""Import of TensorBoard event folders, from files that TensorBoard's own writer wrote."""

from pathlib import Path

import pytest

from tests.importing.conftest import WriteEvents
from workbench.errors import InputError
from workbench.importing.importer import import_runs
from workbench.importing.run_names import count, parse_name
from workbench.importing.tags import metric_name
from workbench.runs.folder import list_runs
from workbench.store import query


def curve(results: Path, metric: str = "val_loss") -> list[tuple[object, ...]]:
    sql = f"SELECT step, tokens, value FROM metrics WHERE metric = '{metric}' ORDER BY ALL"
    return query(results, sql).rows()


@pytest.mark.parametrize("tensors", [False, True])
def test_a_run_is_read_from_its_folder_and_its_name(
    source: Path, results: Path, write_events: WriteEvents, tensors: bool
) -> None:
    write_events("1b_96e_difflm_8b", {"val_loss": {10: 5.0, 40: 4.0}}, tensors=tensors)
    report = import_runs(source, "tb", results)
    assert (report.runs, report.records) == (1, 2)
    assert curve(results) == [(10, 24_000_000_000, 5.0), (40, 96_000_000_000, 4.0)]
    (run,) = query(results, "SELECT * FROM runs").to_dicts()
    assert (run["objective"], run["size"]) == ("mdlm", "8b")
    assert (run["n_params"], run["unique_tokens"]) == (8 * 10**9, 10**9)
    assert (run["epochs"], run["steps"], run["imported"]) == (96.0, 40, True)


def test_several_files_of_a_run_are_merged_and_the_later_one_stands(
    source: Path, results: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {2: 9.0, 3: 4.0}}, at=2.0)
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0, 2: 5.0}}, at=1.0)
    assert import_runs(source, "tb", results).runs == 1
    assert [row[::2] for row in curve(results)] == [(1, 6.0), (2, 9.0), (3, 4.0)]


def test_tokens_from_the_last_step_are_noted(
    source: Path, results: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0}, "train/loss": {4: 5.0}})
    report = import_runs(source, "tb", results)
    assert curve(results) == [(1, 500_000_000, 6.0)]
    assert "last step" in report.notes[0]
    assert list_runs(results)[0].provenance_json()["tokens"]["runs"] == ["1b_2e_ar_1b"]


@pytest.mark.parametrize("tag", ["tokens", "consumed-tokens", "train/tokens"])
def test_a_runs_own_count_of_tokens_is_preferred(
    source: Path, results: Path, write_events: WriteEvents, tag: str
) -> None:
    write_events("1b_2e_ar_1m", {"val_loss": {1: 6.0, 3: 5.0, 8: 4.0}, tag: {2: 2048.0, 4: 8192.0}})
    report = import_runs(source, "tb", results)
    assert curve(results) == [(1, 1024, 6.0), (3, 5120, 5.0), (8, 16384, 4.0)]
    assert report.notes == []


def test_constants_fill_in_what_events_do_not_tell(
    source: Path, results: Path, write_events: WriteEvents
) -> None:
    write_events("0b5_192e_ar_0.1", {"val_loss": {3: 6.0}})
    columns = {"n_params": "1086000000", "tokens_per_step": "524288", "seed": "4"}
    report = import_runs(source, "tb", results, columns=columns)
    assert report.notes == []
    assert curve(results) == [(3, 3 * 524_288, 6.0)]
    sql = "SELECT n_params, unique_tokens, seed, config->>'$.labels.tag' FROM runs"
    assert query(results, sql).rows() == [(1_086_000_000, 500_000_000, 4, "0.1")]


def test_samples_scale_with_the_tokens_of_each(
    source: Path, results: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1m", {"val_loss": {1: 6.0, 2: 5.0}, "samples": {1: 8.0, 2: 24.0}})
    import_runs(source, "tb", results, columns={"tokens_per_sample": "2048"})
    assert [row[1] for row in curve(results)] == [8 * 2048, 24 * 2048]


def test_a_tag_can_be_named_for_a_metric(
    source: Path, results: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1b", {"held out": {1: 6.0}, "val_loss": {1: 7.0}})
    report = import_runs(source, "tb", results, columns={"val_loss": "held out"})
    assert curve(results) == [(1, 2 * 10**9, 6.0)]
    assert any("val_loss is left out" in note for note in report.notes)


def test_tags_against_samples_are_no_curves_over_steps(
    source: Path, results: Path, write_events: WriteEvents
) -> None:
    scalars = {"lm loss validation": {2: 6.0}, "lm loss validation vs samples": {512: 6.0}}
    write_events("1b_2e_ar_1b", scalars)
    report = import_runs(source, "tb", results)
    assert curve(results) == [(2, 2 * 10**9, 6.0)]
    assert any("vs samples" in note for note in report.notes)


def test_values_that_are_not_finite_are_left_out_and_counted(
    source: Path, results: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0, 2: float("nan")}})
    report = import_runs(source, "tb", results)
    assert report.records == 1
    assert any("not finite are left out: 1" in note for note in report.notes)


def test_a_file_cut_off_gives_what_it_holds_and_is_named(
    source: Path, results: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0, 2: 5.0}})
    (path,) = source.rglob("events*")
    path.write_bytes(path.read_bytes()[:-5])
    report = import_runs(source, "tb", results)
    assert report.records == 1
    assert any("cut off" in note for note in report.notes)


def test_importing_events_twice_changes_nothing(
    source: Path, results: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0}})
    write_events("1b_2e_difflm_1b", {"val_loss": {1: 7.0}})
    import_runs(source, "tb", results)
    assert "nothing has changed" in import_runs(source, "tb", results).notes[-1]


def test_runs_of_other_lengths_stay_separate(
    source: Path, results: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0}})
    write_events("1b_4e_ar_1b", {"val_loss": {1: 6.0}})
    assert import_runs(source, "tb", results).runs == 2


def test_the_folder_of_one_run_can_be_imported_itself(
    source: Path, results: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0}})
    assert import_runs(source / "1b_2e_ar_1b", "tb", results).runs == 1


@pytest.mark.parametrize(
    ("scalars", "columns", "message"),
    [
        ({"odd": {"val_loss": {1: 1.0}}}, {}, ["odd", "{unique}_{epochs}e_"]),
        ({"1b_2e_ar": {"val_loss": {1: 1.0}}}, {}, ["1b_2e_ar", "--column n_params=1e9"]),
        ({"1b_2e_ar_1b": {"val_loss": {1: -1.0}}}, {}, ["val_loss at step 1", "never"]),
        ({"1b_2e_ar_1b": {"val_loss": {0: 1.0}}}, {}, ["step 0", "no curve"]),
        (
            {"1b_2e_ar_1b": {"val_loss": {1: 1.0}, "validation/loss": {1: 1.0}}}, {},
            ["val_loss and validation/loss are both val_loss", "--column val_loss="],
        ),
        (
            {"1b_2e_ar_1b": {"val_loss": {1: 1.0}, "tokens": {1: 5.0, 2: 4.0}}}, {},
            ["tokens", "falls"],
        ),
        ({"1b_2e_ar_1b": {}}, {}, ["no scalars"]),
        (
            {"1b_2e_ar_1b": {"val_loss": {1: 1.0}}}, {"val_loss": "val_los"},
            ["no run", "did you mean 'val_loss'?"],
        ),
        (
            {"1b_2e_ar_1b": {"val_loss": {1: 1.0}}}, {"tokens_per_step": "many"},
            ["tokens_per_step=many", "whole number"],
        ),
        ({"1b_2e_ar_1b": {"val_loss": {1: 1.0}}}, {"value": "x"}, ["no columns"]),
        (
            {"1b_2e_ar_1b": {"a": {1: 1.0}}, "1b_2e_gpt_1b": {"a": {1: 1.0}}}, {},
            ["1b_2e_ar_1b and 1b_2e_gpt_1b", "same run"],
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_taken_is_refused_before_anything_is_written(
    source: Path,
    results: Path,
    write_events: WriteEvents,
    scalars: dict[str, dict[str, dict[int, float]]],
    columns: dict[str, str],
    message: list[str],
) -> None:
    for run, tags in scalars.items():
        write_events(run, tags)
    with pytest.raises(InputError) as caught:
        import_runs(source, "tb", results, columns=columns)
    for words in message:
        assert words in str(caught.value)
    assert not results.exists()


def test_a_file_that_holds_no_events_is_named(
    source: Path, results: Path, write_events: WriteEvents
) -> None:
    write_events("1b_2e_ar_1b", {"val_loss": {1: 6.0}})
    (path,) = source.rglob("events*")
    path.write_bytes(b"something else entirely, and long enough to be looked at")
    with pytest.raises(InputError, match="not a TensorBoard event file"):
        import_runs(source, "tb", results)


@pytest.mark.parametrize(
    ("name", "unique", "epochs", "objective", "size", "n_params", "tag"),
    [
        ("1b_96e_difflm_8b", 10**9, 96, "mdlm", "8b", 8 * 10**9, None),
        ("0b5_192e_ar_0.1", 5 * 10**8, 192, "ar", None, None, "0.1"),
        ("1b5_64e_ar_1b7_wd_0.5", 15 * 10**8, 64, "ar", "1b7", 17 * 10**8, "wd_0.5"),
        ("10b_9.6e_mdlm_8B_X", 10**10, 9.6, "mdlm", "8b", 8 * 10**9, "X"),
        ("500m_1e_ar", 5 * 10**8, 1, "ar", None, None, None),
        ("1.5b_1e_masked_diffusion", 15 * 10**8, 1, "mdlm", None, None, None),
        ("group/1b_2e_ar_1b/logs", 10**9, 2, "ar", "1b", 10**9, None),
        ("1b_2e_ar_8b1a", 10**9, 2, "ar", "8b1a", 8 * 10**9, None),
    ],
)  # fmt: skip
def test_names_tell_budget_objective_size_and_tag(
    name: str,
    unique: int,
    epochs: float,
    objective: str,
    size: str | None,
    n_params: int | None,
    tag: str | None,
) -> None:
    run = parse_name(name)
    assert run is not None
    assert (run.unique_tokens, float(run.epochs), run.objective) == (unique, epochs, objective)
    assert (run.size, run.n_params, run.labels.get("tag")) == (size, n_params, tag)


@pytest.mark.parametrize(
    "name", ["", "1b", "1b_96e", "1b_96_ar", "b_96e_ar", "1b_96e_rnn", "0b_1e_ar", "1b_0e_ar"]
)
def test_other_names_are_no_runs(name: str) -> None:
    assert parse_name(name) is None


def test_total_and_active_parameters_are_distinguished() -> None:
    run = parse_name("1b_2e_ar_8b1a")
    assert run is not None
    assert run.labels["n_params_active"] == "1000000000"


def test_counts_are_exact() -> None:
    assert [count(text) for text in ("0b5", "1b086", "500m", "12k", "2t")] == [
        500_000_000, 1_086_000_000, 500_000_000, 12_000, 2 * 10**12,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("tag", "metric"),
    [
        ("lm loss validation", "val_loss"), ("validation/loss", "val_loss"),
        ("val_loss", "val_loss"), ("lm-loss-validation/lm loss validation", "val_loss"),
        ("lm loss", "train_loss"), ("train/loss", "train_loss"),
        ("hellaswag/acc_norm", "hellaswag_acc_norm"), ("Grad Norm", "grad_norm"),
    ],
)  # fmt: skip
def test_tags_become_metrics(tag: str, metric: str) -> None:
    assert metric_name(tag) == metric
