"""Pages, each a script that runs alone: what they show, and what they show where nothing is."""

import hashlib
import json
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

import workbench as wb
from tests.app.conftest import PAGES, OpenPage
from tests.made_runs import MakeRun, make_crossing_seeds
from workbench.analysis.crossover import crossovers, table_row
from workbench.analysis.table_rows import effect_table_row
from workbench.importing.importer import import_runs
from workbench.store import database_path, ingest, query
from workbench.store.parquet.export import export_parquet
from workbench.store.shipped import shipped_studies
from workbench.viewing.chosen_runs import to_text
from workbench.viewing.launch import main_script
from workbench.viewing.study_answers import at_rest

CHARTS = {
    "overview": 1, "curves": 1, "crossover": 3, "map": 1, "overfitting": 3, "keys": 2, "effects": 2,
    "compare": 1, "compute": 2, "runs": 1,
}  # fmt: skip


def charts(page: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in page.get("vega_lite_chart")]


def in_address(page: AppTest, name: str) -> list[str]:
    """The values of a name in the page's address."""
    value = page.query_params[name]
    return [value] if isinstance(value, str) else list(value)


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("name", PAGES)
def test_a_page_runs_alone_and_writes_nothing(
    name: str, trained: Path, open_page: OpenPage
) -> None:
    before = contents(trained)
    page = open_page(name, trained, study="quickstart")
    assert not page.exception
    assert len(charts(page)) >= CHARTS.get(name, 0)
    assert contents(trained) == before


@pytest.fixture(scope="session")
def dataset(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset") / "here"
    export_parquet(trained, str(folder))
    return folder


@pytest.mark.parametrize("name", PAGES)
def test_a_page_shows_a_dataset_as_it_shows_its_store(
    name: str, trained: Path, dataset: Path, open_page: OpenPage
) -> None:
    before = contents(dataset)
    page, same = (open_page(name, results, study="quickstart") for results in (dataset, trained))
    assert not page.exception
    assert charts(page) == charts(same)
    assert contents(dataset) == before


@pytest.mark.parametrize("name", PAGES)
def test_an_empty_folder_shows_the_shipped_studies_and_how_to_begin(
    name: str, tmp_path: Path, open_page: OpenPage
) -> None:
    before = contents(shipped_studies())
    page = open_page(name, tmp_path)
    assert not page.exception
    assert not page.error
    assert "No results of your own yet" in page.markdown[0].value
    assert page.code[0].value == f"workbench run quickstart --results {tmp_path}"
    assert not list(tmp_path.iterdir())
    assert contents(shipped_studies()) == before
    if name in ("curves", "crossover"):
        assert charts(page)
        assert {"reference", "cpu-figure-01"} <= set(page.selectbox[0].options)


def test_the_shipped_studies_are_labelled_where_they_are_asked_for(open_page: OpenPage) -> None:
    page = open_page("curves", shipped_studies(), study="cpu-figure-01")
    assert not page.exception
    assert charts(page)
    (label,) = [text.value for text in page.caption if "come with the workbench" in text.value]
    assert "read-only" in label
    assert not page.code


def test_folders_without_a_store_say_how_to_make_one(own: Path, open_page: OpenPage) -> None:
    database_path(own).unlink()
    page = open_page("curves", own)
    assert not page.exception
    assert "ingest --rebuild" in page.code[0].value


def test_a_damaged_store_is_described_in_words(own: Path, open_page: OpenPage) -> None:
    database_path(own).write_bytes(b"not a database" * 1000)
    page = open_page("overview", own)
    assert not page.exception
    assert "not a valid DuckDB database" in page.error[0].value.replace("\\", "")


def test_the_table_of_crossovers_is_the_command_lines(trained: Path, open_page: OpenPage) -> None:
    page = open_page("crossover", trained, study="quickstart")
    rows = [table_row(row) for row in crossovers(trained, "quickstart", "val_loss", "tokens")]
    shown = page.dataframe[0].value
    assert shown["status"].tolist() == [row["status"] for row in rows]
    assert shown["unique_tokens"].tolist() == [12_800, 32_000]


@pytest.mark.slow
def test_what_a_crossover_is_and_what_its_interval_runs_over_can_be_chosen(
    results: Path, make_run: MakeRun, open_page: OpenPage
) -> None:
    make_crossing_seeds(make_run, 150)
    ingest(results)

    def shown(**address: str) -> tuple[str, str]:
        page = open_page("crossover", results, study="made", **address)
        assert not page.exception
        text = " ".join(str(caption.value) for caption in page.caption).replace("\\", "")
        return text, str(page.dataframe[0].value["crossover (tokens)"][0])

    usual, place = shown()
    assert "leaves zero for good (band)." in usual
    assert "3 seeds and 24 documents (crossed)" in usual
    assert shown(definition="band")[1] == place
    assert "over 3 seeds, " in shown(over="seeds")[0]
    by_point, other_place = shown(definition="point")
    assert "at every point (point)." in by_point
    assert other_place != place
    assert "(best_so_far)." in shown(definition="best_so_far")[0]


def test_effects_are_those_of_the_command_and_a_best_value_is_of_the_key_that_is_chosen(
    results: Path, make_run: MakeRun, open_page: OpenPage
) -> None:
    for seed in range(3):
        for dropout in (0.0, 0.1, 0.2):
            for lr in (1e-3, 3e-3):
                make_run(
                    f"r{seed}{dropout}{lr}", {10: 3.0, 20: 2.5 - dropout + 10 * lr + 0.01 * seed},
                    overrides=[
                        f"training.seed={seed}", f"model.dropout={dropout}", f"training.lr={lr}"
                    ],
                )  # fmt: skip
    ingest(results)
    page = open_page("effects", results, study="made")
    assert not page.exception
    study = wb.Results(results).study("made")
    own = [row for row in study.effects().document if row["kind"] == "main"]
    shown = page.dataframe[0].value
    assert list(shown["factor"]) == [row["factor"] for row in own]
    assert list(shown["95 % interval"]) == [effect_table_row(r)["95 % interval"] for r in own]
    assert "beyond the sum of both" in page.expander[0].label
    assert "against lr" in charts(page)[1]["title"]["text"]
    page = open_page("effects", results, study="made", show="variants", where=["training.lr=0.001"])
    assert not page.exception
    assert list(page.dataframe[0].value["configuration"]) == ["dropout 0.2", "dropout 0.1"]
    page = open_page("effects", results, study="made", key="model.dropout")
    assert "its values are not numbers above 0" in page.info[0].value.replace("\\", "")


def test_a_link_sets_the_selection_and_the_address_tells_it(
    trained: Path, open_page: OpenPage
) -> None:
    page = open_page(
        "curves", trained, study="quickstart", metric=["cloze_acc", "val_loss"], axis="epochs",
        colour="data.unique_tokens", logx="0",
    )  # fmt: skip
    assert page.selectbox[0].value == "quickstart"
    assert page.multiselect[0].value == ["cloze_acc", "val_loss"]
    assert not any(toggle.value for toggle in page.toggle)
    (spec,) = charts(page)
    assert spec["title"]["text"] == "quickstart: cloze_acc, val_loss"
    page.selectbox[1].select("flops").run()
    assert in_address(page, "axis") == ["flops"]
    assert in_address(page, "metric") == ["cloze_acc", "val_loss"]
    assert page.multiselect[0].value == ["cloze_acc", "val_loss"]


def test_nonsense_in_a_link_is_text_and_its_parts_are_refused_one_after_the_other(
    trained: Path, open_page: OpenPage
) -> None:
    page = open_page("curves", trained, study="<b>none</b>", metric="x", axis="y", logx="maybe")
    for asked in ("<b>none</b>", "x", "y", "maybe"):
        assert not page.exception
        assert f" {asked}: unknown." in page.warning[0].value.replace("\\", "")
        assert in_address(page, "study") == ["<b>none</b>"]
        page.button[0].click().run()
    assert in_address(page, "study") == ["quickstart"]
    assert charts(page)


def test_choices_that_the_next_study_lacks_fall_back(trained: Path, open_page: OpenPage) -> None:
    page = open_page("curves", trained, study="quickstart", metric="val_bpb")
    page.selectbox[0].select("reference").run()
    assert not page.exception
    assert (
        page.multiselect[0].value[0]
        in query(
            trained, "SELECT DISTINCT metric FROM metrics JOIN runs USING (run_id) WHERE imported"
        )["metric"].to_list()
    )
    assert charts(page)


def test_a_fit_runs_and_its_advice_follows(trained: Path, open_page: OpenPage) -> None:
    page = open_page(
        "laws", trained, study="reference", law="chinchilla", resamples="0", starts="8"
    )
    assert not page.exception
    page = open_page(
        "laws", trained, study="quickstart", law="chinchilla", resamples="0", starts="8", joint="1",
        fixed="alpha=0.3,beta=0.3,A=10,B=10",
    )  # fmt: skip
    page.button[0].click().run()
    assert not page.exception
    titles = [spec["title"]["text"] for spec in charts(page)]
    assert any("predicted loss" in str(title) for title in titles)
    assert any("profile" in str(title) for title in titles)
    assert page.metric[0].label == "Train, by published laws"  # a joint fit advises nothing
    page.text_input[0].set_value("alpha=many").run()
    page.button[0].click().run()
    assert not page.exception
    assert "expected a number" in page.info[0].value.replace("\\", "")


def test_names_and_labels_are_text_and_never_markup(tmp_path: Path, open_page: OpenPage) -> None:
    nasty = "<b>bold</b> **strong** :red[red] $x$ [a](http://b)"
    table = tmp_path / "labels.csv"
    rows = ["objective,n_params,unique_tokens,metric,total_tokens,value,flavour"]
    for tokens in (1000, 2000, 4000):
        rows += [f'ar,1000,500,val_loss,{tokens},{5 - tokens / 1000},"{nasty}{k}"' for k in (1, 2)]
    table.write_text("\n".join(rows))
    results = tmp_path / "results"
    import_runs(str(table), "nasty", results)
    ids = query(results, "SELECT run_id FROM runs")["run_id"].to_list()
    page = open_page("runs", results, runs=to_text(ids, ids))
    assert not page.exception
    markdown = [element.value for element in [*page.markdown, *page.caption, *page.info]]
    assert not any("<b>" in text or ":red[" in text for text in markdown)
    assert nasty + "1" in page.dataframe[1].value.to_numpy().ravel().tolist()


def test_the_curves_drawn_are_at_most_twenty_thousand_points(
    tmp_path: Path, open_page: OpenPage
) -> None:
    table = tmp_path / "long.csv"
    rows = ["objective,n_params,unique_tokens,metric,total_tokens,value"]
    rows += [f"ar,1000,500,val_loss,{t},{5 + (t == 20_001)}" for t in range(1, 30_001)]
    table.write_text("\n".join(rows))
    results = tmp_path / "results"
    import_runs(str(table), "long", results)
    page = open_page("curves", results)
    (chart,) = page.get("vega_lite_chart")
    import io

    import pyarrow as pa

    frames = [
        pa.ipc.open_stream(io.BytesIO(dataset.data.data)).read_all()
        for dataset in chart.proto.datasets
    ]
    assert sum(frame.num_rows for frame in frames) <= 20_000
    values = [frame["value"].to_pylist() for frame in frames if "value" in frame.column_names]
    assert max(max(own) for own in values) == 6  # the spike is drawn


def test_the_whole_app_has_every_page(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_RESULTS", str(trained))
    page = AppTest.from_file(str(main_script()), default_timeout=120).run()
    assert not page.exception
    assert page.header[0].value == "Overview"
    views = {path.stem for path in (main_script().parent / "views").glob("*.py")}
    assert views == set(PAGES)


def test_a_new_study_is_seen_without_a_restart(own: Path, open_page: OpenPage) -> None:
    page = open_page("overview", own)
    study = json.loads((own / "studies" / "quickstart.json").read_text())
    (own / "studies" / "later.json").write_text(json.dumps({**study, "name": "later"}))
    while not at_rest():  # the test writes the store in the process that reads it
        time.sleep(0.1)
    ingest(own)
    page.run()
    assert "later" in page.selectbox[0].options
    assert page.selectbox[0].value == "quickstart"


def test_a_fit_takes_only_the_runs_with_a_chosen_key(trained: Path, open_page: OpenPage) -> None:
    page = open_page(
        "laws", trained, study="quickstart", law="chinchilla", resamples="0", starts="8", joint="1",
        fixed="alpha=0.3,beta=0.3,A=10,B=10", where='training.objective="mdlm"',
    )  # fmt: skip
    page.button[0].click().run()
    assert not page.exception
    text = " ".join(str(element.value) for element in [*page.caption, *page.markdown, *page.error])
    assert "only runs with training.objective = mdlm" in text.replace("\\", "")


@pytest.mark.slow
def test_a_tournament_ranks_the_laws_that_could_be_fitted(
    tmp_path: Path, open_page: OpenPage
) -> None:
    rows = [
        f"ar,{n},{unique},val_loss,{tokens},{1.7 + 400 / n**0.34 + 400 / tokens**0.28}"
        for n in (10**7, 10**8, 10**9, 10**10)
        for unique in (10**8, 10**9, 10**10)
        for tokens in (unique, 4 * unique)
    ]
    table = tmp_path / "made.csv"
    header = "objective,n_params,unique_tokens,metric,total_tokens,value"
    table.write_text("\n".join([header, *rows]) + "\n")
    import_runs(table, "made", tmp_path / "results")
    page = open_page(
        "laws", tmp_path / "results", study="made", law="all", resamples="0", starts="8"
    )
    page.button[0].click().run(timeout=120)
    assert not page.exception
    assert "Tournament" in page.subheader[0].value
    ranked = page.dataframe[0].value["law"].to_list()
    assert "chinchilla" in ranked
    assert len(ranked) >= 2
