"""Publishing: studies to give away are small, whole, renewed in place, and name no machine."""

import json
from pathlib import Path

import polars as pl
import pytest

from tests.made_runs import MakeRun, run_maker
from tests.store.parquet.conftest import files
from workbench.errors import InputError
from workbench.metrics import METRICS, OF_TRAINING
from workbench.store import ingest, query
from workbench.store.parquet.export import export_parquet
from workbench.store.parquet.layout import BUCKETS
from workbench.store.publish import publish_studies, without_folders

TABLES = ("studies", "study_runs", "runs", "metrics", "fits", "crossovers")


@pytest.fixture
def store(results: Path, make_run: MakeRun) -> Path:
    """Two studies that share a run, of which one run is still training."""
    for seed, objective in enumerate(("ar", "mdlm", "ar")):
        overrides = [f"training.objective='{objective}'", f"training.seed={seed}"]
        state = "running" if seed == 2 else "finished"
        for study in ("one", "two")[: 1 + (seed == 0)]:
            made = {"study": study, "state": state, "overrides": overrides}
            make_run("abc"[seed], {1: 5.0 + seed, 2: 3.0}, items=[0.1, -0.1], **made)
            make_run("abc"[seed], {1: 6.0}, metric="train_loss", **made)
    ingest(results)
    return results


def rows(where: Path, table: str, columns: str = "*") -> list[tuple[object, ...]]:
    return query(where, f"SELECT {columns} FROM {table} ORDER BY ALL").rows()


def test_finished_runs_are_there_with_what_evaluations_measured(
    store: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    report = publish_studies(store, str(out), ["one"])
    assert report.runs == 2
    assert rows(out, "runs", "run_id") == [("a",), ("b",)]
    assert rows(out, "study_runs") == [("one", "a"), ("one", "b")]
    assert rows(out, "studies", "study") == [("one",)]
    finished = "metrics WHERE metric = 'val_loss' AND run_id != 'c'"
    assert rows(out, "metrics") == rows(store, finished) != []
    assert rows(out, "items") == []


def test_each_metric_is_of_training_or_of_an_evaluation() -> None:
    assert set(OF_TRAINING) < set(METRICS)
    measured = set(METRICS) - set(OF_TRAINING)
    assert {"val_loss", "val_bpb", "cloze_acc", "suffix_nll"} <= measured


def test_publishing_again_writes_nothing(store: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    first = publish_studies(store, str(out), ["one", "two"])
    before = files(out)
    again = publish_studies(store, str(out), ["two", "one"])
    assert (again.written, again.removed, again.unchanged) == (0, 0, first.written)
    assert files(out) == before


def test_a_study_that_has_grown_is_renewed_and_others_stay(
    store: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    elsewhere, out = tmp_path / "elsewhere", tmp_path / "out"
    run_maker(elsewhere)("z", {1: 2.0}, study="other", overrides=["training.objective='mdlm'"])
    ingest(elsewhere)
    publish_studies(elsewhere, str(out), ["other"])
    publish_studies(store, str(out), ["one", "two"])
    other = [row for row in rows(out, "metrics") if row[0] == "z"]
    assert other == rows(elsewhere, "metrics")

    overrides = ["training.objective='ar'", "training.seed=2"]
    make_run("c", {3: 1.5}, study="one", overrides=overrides)
    ingest(store)
    publish_studies(store, str(out), ["one"])
    assert rows(out, "study_runs") == [
        ("one", "a"), ("one", "b"), ("one", "c"), ("other", "z"), ("two", "a"),
    ]  # fmt: skip
    assert [row for row in rows(out, "metrics") if row[0] == "z"] == other
    assert len(rows(out, "metrics WHERE run_id = 'c'")) == 3
    numbers = rows(out, "metrics", "run_id, step, metric, estimator, draws")
    assert len(numbers) == len(set(numbers)), "a number is there twice"


def test_runs_that_left_a_study_leave_the_dataset_unless_another_has_them(
    store: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    publish_studies(store, str(out), ["one", "two"])
    path = store / "studies" / "one.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"run_ids": ["b"]}))
    ingest(store)
    publish_studies(store, str(out), ["one"])
    assert rows(out, "study_runs") == [("one", "b"), ("two", "a")]
    assert rows(out, "runs", "run_id") == [("a",), ("b",)]
    path.write_text(json.dumps(json.loads(path.read_text()) | {"run_ids": ["a"]}))
    ingest(store)
    assert publish_studies(store, str(out), ["one"]).removed == 1, "the file of diffusion's runs"
    assert rows(out, "runs", "run_id") == [("a",)]
    assert {row[0] for row in rows(out, "metrics")} == {"a"}


def test_nothing_tells_whose_machine_it_was(tmp_path: Path) -> None:
    results, out = tmp_path / "home-of-alice" / "results", tmp_path / "out"
    texts = tmp_path / "home-of-alice" / "texts of mine"
    for objective in ("ar", "mdlm"):
        run = run_maker(results)(
            objective,
            {1: 2.0},
            overrides=[f"training.objective='{objective}'", f"data.corpus='{texts}/*.txt'"],
        )
        document = {"host": "alices-laptop", "platform": "Linux-alices-kernel", "cpus": 2}
        document |= {"command": [f"{tmp_path}/bin/workbench"], "git": {"revision": "abc"}}
        run.provenance_path.write_text(json.dumps(document))
    study = results / "studies" / "made.json"
    recipe = f'[data]\ncorpus = "{texts}/*.txt"  # a copy of {tmp_path}/home-of-alice/other\n'
    study.write_text(json.dumps(json.loads(study.read_text()) | {"recipe": recipe}))
    ingest(results)
    publish_studies(results, str(out), ["made"])
    tables = {name: query(out, f"FROM {name}") for name in TABLES}
    text = "\n".join(frame.write_ndjson() for frame in tables.values())
    assert "alice" not in text
    assert str(tmp_path) not in text
    assert tables["runs"]["corpus"].to_list() == ["*.txt", "*.txt"]
    assert json.loads(tables["runs"]["config"][0])["data"]["corpus"] == "*.txt"
    assert json.loads(tables["runs"]["provenance"][0]) == {"git": {"revision": "abc"}, "cpus": 2}
    assert tables["studies"]["recipe"][0] == '[data]\ncorpus = "*.txt"  # a copy of other\n'
    assert b"alice" not in b"".join(path.read_bytes() for path in out.rglob("*.json"))


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("/home/alice/a.txt", "a.txt"),
        ("~/texts/a.txt", "a.txt"),
        ("/home/My Name/a.txt", "a.txt"),
        ('{"corpus": "hf:/data/alice/set"}', '{"corpus": "hf:set"}'),
        ("['/home/My Name/a.txt', 1]", "['a.txt', 1]"),
        ("lr = 1e-3  # 1 / sqrt(width), see https://arxiv.org/abs/2511.03276", None),
        ("nll/seed=0/questions=2000", None),
        ("python-stdlib, texts/*.jsonl, s3://team/texts, ../texts/a.txt", None),
        ("AR and/or diffusion: 1/t", None),
    ],
)
def test_only_absolute_paths_are_shortened(text: str, public: str | None) -> None:
    assert without_folders(text) == (text if public is None else public)


def test_the_two_kinds_of_dataset_are_not_mixed(store: Path, tmp_path: Path) -> None:
    published, mirror = tmp_path / "published", tmp_path / "mirror"
    publish_studies(store, str(published), ["one"])
    export_parquet(store, str(mirror))
    before = files(published), files(mirror)
    with pytest.raises(InputError, match=r"has published studies.*with --study"):
        export_parquet(store, str(published))
    with pytest.raises(InputError, match=r"mirrors a whole store.*without --study"):
        publish_studies(store, str(mirror), ["one"])
    assert (files(published), files(mirror)) == before


def test_a_study_without_finished_runs_and_an_unknown_one_are_refused(
    store: Path, tmp_path: Path, make_run: MakeRun
) -> None:
    make_run("d", {1: 1.0}, study="young", state="running")
    ingest(store)
    with pytest.raises(InputError, match="--study young: none of its runs"):
        publish_studies(store, str(tmp_path / "out"), ["one", "young"])
    with pytest.raises(InputError, match=r"--study three.*no such study.*one, two, young"):
        publish_studies(store, str(tmp_path / "out"), ["three"])
    assert not (tmp_path / "out").exists()


def test_the_one_bucket_is_what_the_marker_says(store: Path, tmp_path: Path) -> None:
    publish_studies(store, str(tmp_path / "out"), ["one"])
    marker = json.loads((tmp_path / "out" / "_workbench.json").read_text())
    assert marker["buckets"] == 1 < BUCKETS
    numbers = pl.scan_parquet(tmp_path / "out/metrics/**/*.parquet", hive_partitioning=True)
    assert numbers.select(pl.col("bucket").unique()).collect().rows() == [(0,)]


def test_a_url_can_be_published_to_and_renewed(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = f"memory://{tmp_path}/published"
    publish_studies(store, url, ["one"])
    assert publish_studies(store, url, ["two"]).runs == 2
    assert publish_studies(store, url, ["one"]).written == 0
