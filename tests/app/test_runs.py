"""The page Runs in a real browser: runs are found, chosen for every page, and looked into."""

from pathlib import Path
from typing import Any

import pytest

from tests.app.conftest import OpenPage, Server
from tests.app.test_browser import address, drawn, no_error, whole
from tests.app.test_links import choose, settled
from tests.made_runs import MakeRun
from workbench.store import ingest, query
from workbench.viewing.chosen_runs import from_text, to_text
from workbench.viewing.run_table import best_first, shown_columns
from workbench.viewing.text import column_name, shown_cell

ROW, HEADER = 35, 35  # pixels of a table


def click_row(window: Any, place: int, chosen: str) -> None:
    """Click the box at the left of a row of the page's first table; so many are then chosen."""
    box = window.locator("[data-testid=stDataFrame]").first.bounding_box()
    window.mouse.click(box["x"] + 16, box["y"] + HEADER + ROW * (place + 0.5))
    window.get_by_text(f"{chosen} chosen").wait_for()
    whole(window)  # until then what stands below is of the runs before


def test_clicked_rows_are_the_runs_of_every_page_and_of_its_link(
    server: Server, window: Any, browser: Any
) -> None:
    window.goto(address(server, "runs", "study=quickstart"))
    window.get_by_text("4 of 4 runs.").wait_for()
    window.get_by_text("Compared below: a matched pair").wait_for()
    drawn(window)
    box = window.get_by_role("textbox", name="Only runs where")
    box.fill("unique_tokens = 12800")
    box.press("Enter")
    window.get_by_text("2 of 4 runs.").wait_for()  # one of each objective
    click_row(window, 0, "1 run")
    click_row(window, 1, "2 runs")
    link = settled(window, "~")
    window.get_by_role("link", name="Curves").click()
    window.get_by_role("heading", name="Curves").wait_for()
    window.get_by_text("2 runs chosen").wait_for()
    runs = link.partition("runs=")[2].partition("&")[0]
    assert len(runs) < 16, "an id takes a few characters"
    settled(window, f"/curves?runs={runs}")
    no_error(window)
    other = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    other.goto(address(server, "crossover", f"study=quickstart&runs={runs}"))
    other.get_by_text("2 runs chosen").wait_for()
    drawn(other)
    no_error(other)
    other.context.close()
    window.get_by_role("button", name="clear", exact=True).click()
    window.wait_for_function("!location.search.includes('runs=')")
    window.go_back()
    window.get_by_text("2 runs chosen").wait_for()
    no_error(window)


def test_runs_are_filtered_by_conditions_grouped_and_their_logs_open_at_the_end(
    server: Server, window: Any
) -> None:
    window.goto(address(server, "runs", "study=quickstart"))
    window.get_by_text("4 of 4 runs.").wait_for()

    def only(condition: str, then: str) -> None:
        box = window.get_by_role("textbox", name="Only runs where")
        box.fill(condition)
        box.press("Enter")
        window.get_by_text(then).wait_for()

    only("unique_tokens >= 3e4 and objective != ar", "1 of 4 runs.")
    only("unique_tokens ~ 3", "expected COLUMN OP VALUE")
    settled(window, "where=unique_tokens+~+3")
    only("", "4 of 4 runs.")
    choose(window, "Group by", "objective", "group=objective")
    window.get_by_text("mean of best").or_(window.get_by_text("4 of 4 runs.")).first.wait_for()
    window.wait_for_timeout(1000)
    click_row(window, 0, "2 runs")
    window.locator("[data-testid=stExpander] summary").filter(has_text="seed").first.click()
    log = window.locator("[class*=st-key-end-of]").first
    log.locator("code").wait_for()
    window.wait_for_timeout(500)
    boxes = log.bounding_box(), log.locator("code").first.bounding_box()
    ends = [box["y"] + box["height"] for box in boxes]
    assert boxes[1]["height"] > boxes[0]["height"], "the log is longer than its box"
    assert abs(ends[0] - ends[1]) < 40, "its end is in view"
    window.get_by_role("tab", name="Texts").first.click()
    window.get_by_text("workbench sample").first.wait_for()
    no_error(window)


def test_the_table_has_best_last_and_the_time_of_each_run(
    trained: Path, open_page: OpenPage
) -> None:
    page = open_page("runs", trained, study="quickstart")
    shown = page.dataframe[0].value
    stored = query(
        trained,
        """SELECT run_id, min(value) AS best, arg_max(value, step) AS last
           FROM metrics WHERE metric = 'val_loss' GROUP BY run_id""",
    ).to_dicts()
    by_id = shown.set_index("run_id")
    for row in stored:
        if row["run_id"] in by_id.index:
            assert by_id.loc[row["run_id"], "best"] == pytest.approx(row["best"])
            assert by_id.loc[row["run_id"], "last"] == pytest.approx(row["last"])
    assert (shown["trained for (s)"] > 0).all()
    assert {"seed", "state", "objective", "unique_tokens"} <= set(shown.columns)


def test_the_pair_compared_at_first_differs_in_the_objective_and_not_in_the_seed(
    results: Path, make_run: MakeRun, open_page: OpenPage
) -> None:
    for seed in (3, 1):
        for objective in ("ar", "mdlm"):
            make_run(
                f"{objective}{seed}", {1: 3.0, 2: 2.0},
                overrides=[f"training.objective='{objective}'", f"training.seed={seed}"],
            )  # fmt: skip
    ingest(results)
    page = open_page("runs", results, study="made")
    assert list(page.dataframe[1].value.columns[1:]) == ["ar1", "mdlm1"]
    keys = page.dataframe[1].value["key"].tolist()
    assert "training.objective" in keys
    assert "training.seed" not in keys


def test_the_chosen_runs_restrict_every_answer_and_other_studies_keep_theirs(
    results: Path, make_run: MakeRun, open_page: OpenPage
) -> None:
    for study in ("made", "other"):
        for unique in (12_800, 32_000):
            for objective in ("ar", "mdlm"):
                first = 3.0 if objective == "ar" else 4.0
                make_run(
                    f"{study}-{objective}-{unique}",
                    {step: first - (step / 40 if objective == "mdlm" else 0) for step in (20, 80)},
                    study=study,
                    overrides=[
                        f"training.objective='{objective}'", f"data.unique_tokens={unique}",
                    ],
                )  # fmt: skip
    ingest(results)
    known = query(results, "SELECT run_id FROM runs")["run_id"].to_list()
    text = to_text(["made-ar-12800", "made-mdlm-12800"], known)
    page = open_page("crossover", results, study="made", runs=text)
    assert not page.exception
    assert page.dataframe[0].value["unique_tokens"].tolist() == [12_800]
    page.selectbox[0].select("other").run()
    assert page.dataframe[0].value["unique_tokens"].tolist() == [12_800, 32_000]
    assert "No chosen run is in the study other" in " ".join(c.value for c in page.caption)
    page = open_page("overfitting", results, study="made", runs=text)
    assert not page.exception


def test_ids_in_an_address_are_short_and_found_again() -> None:
    known = ["a0-150", "a0-1500", "0123456789ab", "0123499999ab"]
    text = to_text(known, known)
    assert from_text(text, known) == (tuple(known), [])
    assert from_text("01234~a0-150~zzz", known) == (("a0-150",), ["01234", "zzz"])
    assert len(to_text(["0123456789ab"], ["0123456789ab", "9876"])) == 5


def test_values_stand_first_and_keys_that_do_not_differ_are_left_out() -> None:
    rows = [
        {"run_id": str(n), "seed": n, "objective": "ar", "lr": 0.1, "ffn": 8 if n == 1 else None,
         "n_params": 10**n, "best": best, "last": 3.0, "state": "finished"}
        for n, best in enumerate([None, 2.0, 1.0])
    ]  # fmt: skip
    shown = shown_columns(rows)
    assert list(shown[0]) == [
        "run_id", "seed", "objective", "best", "last", "state", "n_params", "ffn"
    ]  # fmt: skip
    assert [row["run_id"] for row in best_first(rows, "val_loss")] == ["2", "1", "0"]
    assert [row["run_id"] for row in best_first(rows, "cloze_acc")] == ["1", "2", "0"]


def test_cells_and_columns_are_in_words_and_sort_by_their_numbers() -> None:
    cells = {
        ("n_params", 181_440): "181k", ("unique_tokens", 12_800): "12.8k",
        ("train_flops", 1.024e15): "1.02e15", ("training FLOPs", 7.595e13): "7.6e13",
        ("step", 12_345): "12,345", ("status", "not_reached"): "not reached",
    }  # fmt: skip
    for (column, value), text in cells.items():
        assert shown_cell(column, value) == text
    assert column_name("n_params") == "parameters"
    assert column_name("total_tokens") == "total tokens"
    assert column_name("training.weight_decay") == "training.weight_decay"  # as conditions have it
