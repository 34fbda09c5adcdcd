"""Results of lm-evaluation-harness: last points of the run that they lie beside."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.importing.conftest import WriteEvents
from workbench.errors import InputError
from workbench.importing.importer import import_runs, read_source
from workbench.importing.request import Request

ANY = Request(units={"total_tokens": 1})
RESULTS: dict[str, Any] = {
    "hellaswag": {"alias": "hellaswag", "acc,none": 0.3, "acc_stderr,none": 0.01, "sample_len": 9},
    "gsm8k": {"exact_match,strict": 0.1, "exact_match,flexible": 0.2},
}


def write(folder: Path, results: dict[str, Any], date: float = 1.0, **config: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"results_2026-01-0{date:.0f}T00-00-00.json"
    document = {"results": results, "versions": {}, "date": date, "config": config}
    path.write_text(json.dumps(document))
    return path


def ends(source: Path, request: Request = ANY) -> list[tuple[Any, ...]]:
    frame = read_source(source, request).frame
    return sorted(frame.select("metric", "total_tokens", "value", "stderr").rows())


def test_results_beside_curves_are_last_points_of_that_run(
    source: Path, write_events: WriteEvents
) -> None:
    for objective, value in (("ar", 0.3), ("difflm", 0.4)):
        run = f"1b_2e_{objective}_1b"
        write_events(run, {"val_loss": {1: 6.0, 4: 5.0}, "tokens": {1: 10.0, 4: 40.0}})
        write(source / run / "eval" / "model", {"arc": {"acc,none": value}})
    frame = read_source(source, ANY).frame
    found = frame.filter(metric="arc_acc").select("objective", "total_tokens", "value", "step")
    assert sorted(found.rows()) == [("ar", 40, 0.3, None), ("mdlm", 40, 0.4, None)]
    assert frame.height == 6


def test_a_filter_is_named_where_it_makes_a_difference(tmp_path: Path) -> None:
    write(tmp_path / "1m_2e_ar_1m", RESULTS)
    assert ends(tmp_path) == [
        ("gsm8k_exact_match_flexible", 2_000_000, 0.2, None),
        ("gsm8k_exact_match_strict", 2_000_000, 0.1, None),
        ("hellaswag_acc", 2_000_000, 0.3, 0.01),
    ]


def test_of_two_results_the_newer_stands_and_both_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "1m_2e_ar_1m"
    write(folder, {"arc": {"acc,none": 0.5}}, date=3)
    write(folder, {"arc": {"acc,none": 0.4}, "boolq": {"acc,none": 0.6}}, date=2)
    assert [(metric, value) for metric, _, value, _ in ends(tmp_path)] == [
        ("arc_acc", 0.5), ("boolq_acc", 0.6),
    ]  # fmt: skip


def test_a_file_alone_needs_the_tokens_at_its_end(tmp_path: Path) -> None:
    path = write(tmp_path / "model", {"arc": {"acc,none": 0.5}}, model_num_parameters=1000)
    facts = {"objective": "ar", "unique_tokens": "100"}
    with pytest.raises(InputError, match="--column total_tokens=N"):
        read_source(path, Request(columns=facts))
    known = Request(columns={**facts, "total_tokens": "400"}, units={"total_tokens": 1})
    assert ends(path, known) == [("arc_acc", 400, 0.5, None)]
    assert read_source(path, known).frame["n_params"].to_list() == [1000]


def test_results_never_replace_the_curves_of_their_run(tmp_path: Path, results: Path) -> None:
    table = tmp_path / "curves.csv"
    header = "objective,n_params,unique_tokens,metric,total_tokens,value,size,planned_epochs"
    table.write_text(f"{header}\nar,1000000,1000000,val_loss,2000000,3.0,1m,2\n")
    import_runs(table, "s", results)
    write(tmp_path / "1m_2e_ar_1m", {"arc": {"acc,none": 0.5}})
    with pytest.raises(InputError, match=r"curves\.csv with val_loss, which it lacks"):
        import_runs(tmp_path / "1m_2e_ar_1m", "s", results)


@pytest.mark.parametrize("content", ["{", "[1]", '{"results": {}}', '{"results": 3}'])
def test_another_json_file_is_no_result(tmp_path: Path, content: str) -> None:
    folder = tmp_path / "1m_2e_ar_1m"
    folder.mkdir()
    (folder / "results_1.json").write_text(content)
    write(folder, {"arc": {"acc,none": 0.5}}, date=2)
    assert len(ends(tmp_path)) == 1
