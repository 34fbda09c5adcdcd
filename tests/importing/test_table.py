"""Import of long tables: what is understood, and what an import leaves behind."""

import json
import os
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.importing.conftest import HEADER, ROWS, WriteTable
from workbench.analysis.crossover import crossovers
from workbench.analysis.curves import load_curves
from workbench.errors import InputError
from workbench.importing.importer import import_runs
from workbench.runs.folder import RunFolder, list_runs
from workbench.store import database_path, ingest, query


def metrics(results: Path) -> list[tuple[object, ...]]:
    sql = "SELECT objective, metric, tokens, value FROM curves ORDER BY ALL"
    return query(results, sql).rows()


def everything(results: Path) -> dict[str, bytes]:
    """Every file under a results folder but the store."""
    return {
        str(path.relative_to(results)): path.read_bytes()
        for path in sorted(results.rglob("*"))
        if path.is_file() and path.suffix != ".duckdb"
    }


def test_each_set_of_run_columns_is_one_run(results: Path, table: WriteTable) -> None:
    report = import_runs(table(), "s", results)
    assert (report.runs, report.records, report.study, report.notes) == (2, 4, "s", [])
    assert metrics(results) == [
        ("ar", "val_loss", 100, 5.0),
        ("ar", "val_loss", 200, 4.0),
        ("mdlm", "val_loss", 100, 6.0),
        ("mdlm", "val_loss", 200, 3.5),
    ]
    runs = query(results, "SELECT * FROM runs ORDER BY objective").to_dicts()
    assert [run["imported"] for run in runs] == [True, True]
    assert [run["state"] for run in runs] == ["finished", "finished"]
    assert [(run["total_tokens"], run["epochs"]) for run in runs] == [(200, 2.0), (200, 2.0)]


def test_what_a_file_does_not_tell_is_null_and_never_zero(results: Path, table: WriteTable) -> None:
    import_runs(table(), "s", results)
    (row,) = query(results, "SELECT DISTINCT step, flops, stderr, n, estimator FROM metrics").rows()
    assert row == (None,) * 5
    (row,) = query(results, "SELECT DISTINCT steps, train_flops, seed, lr FROM runs").rows()
    assert row == (None,) * 4


def test_known_columns_land_in_their_places(results: Path, table: WriteTable) -> None:
    names = "seed,size,quality,dropout,input_mask,lr,weight_decay,epoch,step,flops,stderr,n,"
    path = table(
        "GPT,1e3,100,val_loss,100,5.0,7,1M,high,0.1,0.2,3e-4,0.5,1.25,10,6e5,0.01,64,nll",
        header=f"{HEADER},{names}estimator",
    )
    import_runs(path, "s", results)
    (run,) = query(results, "SELECT * FROM runs").to_dicts()
    expected = {
        "objective": "ar", "n_params": 1000, "unique_tokens": 100, "seed": 7, "size": "1M",
        "quality": "high", "dropout": 0.1, "input_mask": 0.2, "lr": 3e-4, "weight_decay": 0.5,
        "steps": 10, "train_flops": 6e5,
    }  # fmt: skip
    assert {key: run[key] for key in expected} == expected
    (record,) = query(results, "SELECT * EXCLUDE (run_id) FROM metrics").to_dicts()
    assert record == {
        "step": 10, "tokens": 100, "epoch": 1.25, "flops": 6e5, "metric": "val_loss",
        "value": 5.0, "stderr": 0.01, "n": 64, "estimator": "nll",
        "draws": None, "noise_stderr": None, "documents": None,
    }  # fmt: skip


def test_any_other_column_labels_the_run(results: Path, table: WriteTable) -> None:
    rows = [f"{row},{mix}" for row in ROWS for mix in ("web", "code")]
    report = import_runs(table(*rows, header=f"{HEADER},mix"), "s", results)
    assert report.runs == 4
    labels = query(results, "SELECT DISTINCT config->>'$.labels.mix' AS mix FROM runs ORDER BY mix")
    assert labels["mix"].to_list() == ["code", "web"]
    groups = [row["group"] for row in crossovers(results, "s", "val_loss", "tokens")]
    assert [group["labels.mix"] for group in groups] == ["code", "web"]


def test_columns_can_have_other_names_and_numbers_stand_for_missing_ones(
    results: Path, table: WriteTable
) -> None:
    path = table("ar,100,val_loss,100,5.0,9", header="kind,unique_tokens,metric,D,loss,value")
    columns = {"objective": "kind", "total_tokens": "D", "value": "loss", "n_params": "1e6"}
    report = import_runs(path, "s", results, columns=columns)
    assert metrics(results) == [("ar", "val_loss", 100, 5.0)]
    assert query(results, "SELECT n_params FROM runs").item() == 10**6
    assert "value is left out" in report.notes[0]
    (run,) = list_runs(results)
    assert run.provenance_json()["columns"]["value"] == "loss"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("autoregressive", "ar"), ("GPT", "ar"), ("AR", "ar"), ("diffusion", "mdlm"),
        ("DiffLM", "mdlm"), ("masked-diffusion", "mdlm"), ("dlm", "mdlm"), ("mdm", "mdlm"),
        ("Block_Diffusion-2", "block_diffusion-2"),
    ],
)  # fmt: skip
def test_objectives_are_known_by_several_names(
    results: Path, table: WriteTable, text: str, name: str
) -> None:
    import_runs(table(f"{text},1000,100,val_loss,100,5.0"), "s", results)
    assert query(results, "SELECT objective FROM runs").item() == name


def test_parquet_holds_the_same_runs_as_csv(results: Path, table: WriteTable) -> None:
    path = table()
    import_runs(path, "s", results)
    before = metrics(results), [run.run_id for run in list_runs(results)]
    parquet = path.with_suffix(".parquet")
    pl.read_csv(path).write_parquet(parquet)
    import_runs(parquet, "s", results)
    assert (metrics(results), [run.run_id for run in list_runs(results)]) == before


def test_importing_twice_changes_no_file(results: Path, table: WriteTable) -> None:
    path = table()
    import_runs(path, "s", results)
    before, store = everything(results), metrics(results)
    report = import_runs(path, "s", results)
    assert report.records == 4
    assert "nothing has changed" in report.notes[-1]
    assert everything(results) == before
    assert metrics(results) == store


def test_importing_a_changed_file_replaces_its_runs(results: Path, table: WriteTable) -> None:
    import_runs(table(), "s", results)
    import_runs(table(ROWS[0], "ar,1000,100,val_loss,300,2.0"), "s", results)
    assert len(list_runs(results)) == 2
    assert [row for row in metrics(results) if row[0] == "ar"] == [
        ("ar", "val_loss", 100, 5.0),
        ("ar", "val_loss", 300, 2.0),
    ]
    assert query(results, "SELECT total_tokens FROM runs WHERE objective = 'ar'").item() == 300


def test_a_rebuild_restores_what_was_imported(results: Path, table: WriteTable) -> None:
    import_runs(table(), "s", results)
    tables = ("studies", "study_runs", "runs", "metrics")
    before = [query(results, f"SELECT * FROM {name} ORDER BY ALL").rows() for name in tables]
    os.remove(database_path(results))
    assert ingest(results, rebuild=True).problems == []
    after = [query(results, f"SELECT * FROM {name} ORDER BY ALL").rows() for name in tables]
    assert after == before


def test_a_lost_seal_is_reported_and_mended_by_importing_again(
    results: Path, table: WriteTable
) -> None:
    path = table()
    import_runs(path, "s", results)
    list_runs(results)[0].sealed_path.write_bytes(b"PAR1 broken")
    (problem,) = ingest(results).problems
    assert "Import it again" in problem
    import_runs(path, "s", results)
    assert ingest(results).problems == []


def test_views_order_points_without_steps_by_tokens(results: Path, table: WriteTable) -> None:
    rows = [f"ar,1000,100,val_loss,{tokens},{value}" for tokens, value in
            ((300, 4.5), (100, 5.0), (200, 4.0), (150, 4.0))]  # fmt: skip
    import_runs(table(*rows), "s", results)
    assert query(results, "SELECT tokens, value FROM final").rows() == [(300, 4.5)]
    assert query(results, "SELECT tokens, value FROM best").rows() == [(150, 4.0)]


def test_a_trained_run_is_never_overwritten(results: Path, table: WriteTable) -> None:
    path = table()
    import_runs(path, "s", results)
    run = list_runs(results)[0]
    document = run.config_json()
    del document["imported"]  # as if it had been trained here
    run.config_path.write_text(json.dumps(document))
    before = everything(results)
    with pytest.raises(InputError, match="trained here"):
        import_runs(table(ROWS[0], ROWS[2]), "s", results)
    assert everything(results) == before


def test_an_existing_study_keeps_the_entries_of_its_recipe(
    results: Path, table: WriteTable
) -> None:
    folder = results / "studies"
    folder.mkdir(parents=True)
    study = {
        "name": "s", "question": "why?", "source": "here", "recipe": "[study]\n",
        "compare": {"baseline": "ar", "challenger": "mdlm", "match": None}, "run_ids": ["trained"],
    }  # fmt: skip
    (folder / "s.json").write_text(json.dumps(study))
    import_runs(table(), "s", results)
    after = json.loads((folder / "s.json").read_text())
    assert after | {"run_ids": ["trained"]} == study
    assert after["run_ids"][0] == "trained"
    assert len(after["run_ids"]) == 3


def test_running_a_recipe_keeps_the_runs_imported_into_its_study(
    results: Path, table: WriteTable
) -> None:
    from workbench.planning.prepare import prepare_study
    from workbench.recipe import load_recipe
    from workbench.running.study import make_folders

    import_runs(table(), "quickstart", results)
    imported = [run.run_id for run in list_runs(results)]
    recipe = load_recipe("quickstart", ["training.total_tokens=20_480"])
    folders = make_folders(recipe, prepare_study(recipe, results), results)
    study = json.loads((results / "studies" / "quickstart.json").read_text())
    assert set(study["run_ids"]) == {*imported, *folders}
    assert study["recipe"]
    assert not set(folders) & set(imported), "only what is in the recipe is trained"
    assert crossovers_after(results) == 1, "imported runs still make their pair"


def crossovers_after(results: Path) -> int:
    ingest(results)
    return len(crossovers(results, "quickstart", "val_loss", "tokens"))


def test_curves_that_end_at_different_tokens_are_paired(results: Path, table: WriteTable) -> None:
    import_runs(table(*ROWS, "mdlm,1000,100,val_loss,250,3.0"), "s", results)
    (row,) = crossovers(results, "s", "val_loss", "tokens")
    assert (row["status"], row["last_x"]) == ("crossed", 200.0)


def test_a_label_that_names_each_run_pairs_without_it(results: Path, table: WriteTable) -> None:
    rows = [f"{row},{row.split(',')[0]}-run" for row in ROWS]
    report = import_runs(table(*rows, header=f"{HEADER},name"), "s", results)
    assert "labels.name is never the same" in report.notes[0]
    assert len(crossovers(results, "s", "val_loss", "tokens")) == 1


def test_a_label_that_distinguishes_runs_stays(results: Path, table: WriteTable) -> None:
    rows = [f"{row},{row.split(',')[0]}{i}" for row in ROWS for i in (1, 2)]
    report = import_runs(table(*rows, header=f"{HEADER},name"), "s", results)
    assert "make no pairs" in report.notes[0]


def test_flops_are_estimated_on_request_only_where_missing(
    results: Path, table: WriteTable
) -> None:
    rows = ["ar,1000,100,val_loss,100,5.0,7", "ar,1000,100,val_loss,200,4.0,"]
    path = table(*rows, header=f"{HEADER},flops")
    report = import_runs(path, "s", results, estimate_flops=True)
    flops = query(results, "SELECT flops FROM metrics ORDER BY tokens")["flops"].to_list()
    assert flops == [7.0, 6.0 * 1000 * 200]
    assert "flops are estimated" in report.notes[0]
    assert "n_params" in list_runs(results)[0].provenance_json()["flops"]


def test_rows_without_a_value_are_left_out_and_counted(results: Path, table: WriteTable) -> None:
    report = import_runs(table(*ROWS, "ar,1000,100,val_loss,300,"), "s", results)
    assert report.records == 4
    assert report.notes == ["rows without a value are left out: 1."]


def test_blank_lines_spaces_and_a_byte_order_mark_are_harmless(
    results: Path, table: WriteTable
) -> None:
    path = table(" ar , 1000 ,100, val_loss,100,5.0", "", "   ", name="spaces.csv")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert import_runs(path, "s", results).records == 1
    assert metrics(results) == [("ar", "val_loss", 100, 5.0)]


def test_provenance_says_file_hash_and_columns(results: Path, table: WriteTable) -> None:
    import_runs(table(), "s", results)
    provenance = list_runs(results)[0].provenance_json()
    assert provenance["source"]["file"] == "curves.csv"
    assert len(provenance["source"]["sha256"]) == 64
    assert provenance["columns"]["value"] == "value"
    assert provenance["imported_at"]


def test_a_run_folder_is_whole(results: Path, table: WriteTable) -> None:
    import_runs(table(), "s", results)
    run: RunFolder = list_runs(results)[0]
    assert run.is_imported()
    assert run.status().state == "finished"
    assert not run.records_path.exists()
    assert not list(run.path.parent.glob(".*"))


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.integers(0, 2**62),
        st.floats(allow_nan=False, allow_infinity=False, min_value=0),
        min_size=1,
        max_size=20,
    )
)
def test_values_and_tokens_come_back_bit_for_bit(
    tmp_path_factory: pytest.TempPathFactory, points: dict[int, float]
) -> None:
    folder = tmp_path_factory.mktemp("exact")
    path = folder / "curves.csv"
    rows = [f"ar,1000,100,val_loss,{tokens},{value!r}" for tokens, value in points.items()]
    path.write_text("\n".join([HEADER, *rows]))
    import_runs(path, "s", folder)
    stored = query(folder, "SELECT tokens, value FROM metrics").rows()
    assert dict(stored) == points


@pytest.mark.slow
def test_a_million_rows_take_less_than_ten_seconds(tmp_path: Path, results: Path) -> None:
    count, runs = 1_000_000, 10
    number = np.arange(count)
    frame = pl.DataFrame(
        {
            "objective": np.where(number % 2 == 0, "ar", "mdlm"),
            "n_params": 1000 * (1 + number % runs // 2),
            "unique_tokens": 10**6,
            "metric": "val_loss",
            "total_tokens": 1 + number,
            "value": 3.0 + np.sin(number),
        }
    )
    path = tmp_path / "many.csv"
    frame.write_csv(path)
    begun = time.perf_counter()
    report = import_runs(path, "s", results)
    assert time.perf_counter() - begun < 10
    assert (report.runs, report.records) == (runs, count)


@pytest.mark.training
def test_retrying_a_study_leaves_its_imported_runs_alone(results: Path, table: WriteTable) -> None:
    from workbench.recipe import load_recipe
    from workbench.running.control import retry
    from workbench.running.study import run_study

    short = ["training.total_tokens=2_048", "evaluation.points=1", "evaluation.tasks=[]"]
    short += ["training.objective='ar'", "data.unique_tokens=12_800"]
    import_runs(table(), "quickstart", results)
    trained = run_study(load_recipe("quickstart", short), results)
    imported = [run for run in list_runs(results) if run.is_imported()]
    before = [run.status_path.read_bytes() for run in imported]
    assert retry(results, "quickstart").skipped == trained.finished
    assert [run.status_path.read_bytes() for run in imported] == before


def test_accuracies_in_percent_become_fractions_with_their_standard_errors(
    table: WriteTable, results: Path
) -> None:
    rows = [
        "ar,1000,100,arc_acc,100,25.5,0.5",
        "ar,1000,100,arc_acc,200,0.9,0.5",
        "ar,1000,100,x_pass@10,200,0.9,0.1",
        "ar,1000,100,val_loss,200,4,0.1",
    ]
    report = import_runs(table(*rows, header=f"{HEADER},stderr"), "s", results)
    assert [note for note in report.notes if "percent" in note] == [
        "arc_acc is in percent, and imported as a fraction."
    ]
    frame = query(results, "SELECT metric, value, stderr FROM metrics ORDER BY metric, tokens")
    assert frame.rows() == [
        ("arc_acc", pytest.approx(0.255), pytest.approx(0.005)),
        ("arc_acc", pytest.approx(0.009), pytest.approx(0.005)),
        ("val_loss", 4.0, 0.1),
        ("x_pass@10", 0.9, 0.1),
    ]


def test_a_share_above_the_whole_is_refused(table: WriteTable, results: Path) -> None:
    with pytest.raises(InputError, match=r"curves\.csv: arc_acc = 120: expected a fraction"):
        import_runs(table("ar,1000,100,arc_acc,100,120"), "s", results)
    assert not (results / "runs").exists()


def test_a_metrics_old_name_is_imported_and_asked_for_as_its_new_one(
    table: WriteTable, results: Path
) -> None:
    row = "ar,1000,100,mmlu_continuation_acc_norm,100,0.25"
    import_runs(table(row), "s", results)
    assert query(results, "SELECT metric FROM metrics").item() == "mmlu_acc_norm"
    for name in ("mmlu_continuation_acc_norm", "mmlu_acc_norm"):
        assert load_curves(results, "s", name).metric == "mmlu_acc_norm"


def test_what_was_imported_in_percent_under_an_old_name_is_read_as_of_now(
    table: WriteTable, results: Path
) -> None:
    import_runs(table("ar,1000,100,mmlu_acc_norm,100,0.25"), "s", results)
    (run,) = list_runs(results)
    old = pl.read_parquet(run.sealed_path)
    old = old.with_columns(value=pl.lit(25.0), metric=pl.lit("mmlu_continuation_acc_norm"))
    old.write_parquet(run.sealed_path)
    ingest(results)
    assert query(results, "SELECT metric, value FROM metrics").row(0) == ("mmlu_acc_norm", 0.25)
    assert pl.read_parquet(run.sealed_path).equals(old), "the folder stays as it is"
