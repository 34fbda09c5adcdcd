"""Runs: find them, compare their configurations, read their logs and where they come from."""

import json

import streamlit as st

from workbench.analysis.config_diff import configuration_diff
from workbench.conditions import one_of
from workbench.figures import curves_figure
from workbench.viewing.cached_store import cached, metrics, runs, studies
from workbench.viewing.drawing import draw
from workbench.viewing.notes import editor
from workbench.viewing.page import begin, stop
from workbench.viewing.selection import controls
from workbench.viewing.text import note, plain, refusals, table
from workbench.viewing.unfinished_runs import log_lines

ALL = "all studies"
COLUMNS = (
    "run_id", "state", "objective", "size", "n_params", "unique_tokens", "total_tokens", "epochs",
    "seed", "lr", "batch_size", "weight_decay", "dropout", "input_mask", "quality", "steps_done",
    "steps", "attempts", "imported", "error",
)  # fmt: skip

page = begin("Runs", "Every run that the store knows. Choose two or more to see how they differ.")
names = [ALL, *(str(row["study"]) for row in studies(page.where))]
with controls():
    study = page.link.choose("Study", names, "study", usual=ALL, width=220)
    search = page.link.text("Search", "find", placeholder="mdlm 12800 failed", width=300)
rows = runs(page.where, None if study == ALL else study)
wanted = search.lower().split()
matching = [
    {name: row[name] for name in COLUMNS}
    for row in rows
    if all(word in " ".join(str(row[name]) for name in COLUMNS).lower() for word in wanted)
]
filled_columns = [name for name in COLUMNS if any(row[name] is not None for row in matching)]
table([{name: row[name] for name in filled_columns} for row in matching])
note(f"{len(matching):,} of {len(rows):,} runs.")

labels = {
    str(
        row["run_id"]
    ): f"{row['run_id']}  {row['objective']}  {row['unique_tokens'] or 0:,} unique, "
    f"seed {row['seed']}"
    for row in rows
}
picked = page.link.choose_many(
    "Look at", list(labels), "run", first=[str(r["run_id"]) for r in matching[:2]], labels=labels,
    placeholder="choose runs",
)  # fmt: skip
if not picked:
    page.link.write()
    stop("Choose a run above.")

if len(picked) > 1:
    st.subheader("How they differ", anchor=False)
    with refusals():
        differences = cached(
            page.where, lambda: configuration_diff(page.where.results, picked), "diff", picked
        )
        if differences:
            # One column may hold numbers and words: as text they are all shown as they are.
            table(
                [{k: str(v) if v is not None else None for k, v in d.items()} for d in differences]
            )
        else:
            note("Their configurations are the same.")

shared = [
    name for name in names[1:] if set(picked) <= {str(r["run_id"]) for r in runs(page.where, name)}
]
if shared and metrics(page.where, shared[0]):
    st.subheader("Their curves", anchor=False)
    with controls():
        metric = page.link.choose("Metric", metrics(page.where, shared[0]), "metric", width=220)
    draw(
        page.where,
        lambda: curves_figure(
            page.where.results, shared[0], [metric], where=(one_of("run_id", picked),)
        ),
        "curves of runs", shared[0], metric, picked,
    )  # fmt: skip
page.link.write()

st.subheader("Log and provenance", anchor=False)
by_id = {str(row["run_id"]): row for row in rows}
for run_id in picked[:8]:
    with st.expander(plain(labels[run_id])):
        editor(page.where, "run", run_id)
        log, origin, config = st.tabs(["Log", "Provenance", "Configuration"])
        with log:
            st.code(log_lines(page.where, run_id, 40) or "(no log)", language=None, height=300)
        with origin:
            st.json(json.loads(by_id[run_id]["provenance"] or "{}"), expanded=1)
        with config:
            st.json(json.loads(by_id[run_id]["config"]), expanded=1)
