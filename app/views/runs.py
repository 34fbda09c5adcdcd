"""Runs: find them, choose those that every page shows, compare them, read their logs."""

import json
import shlex
from dataclasses import replace
from functools import partial

import streamlit as st

from workbench.analysis.config_diff import configuration_diff
from workbench.conditions import matching, one_of, parse_conditions
from workbench.figures import curves_figure
from workbench.runs.folder import RunFolder
from workbench.viewing.cached_store import cached, metrics, results_folder, runs, studies
from workbench.viewing.drawing import draw
from workbench.viewing.notes import editor
from workbench.viewing.page import OPEN_AT_END, begin, stop
from workbench.viewing.run_table import (
    best_first,
    conditions_rows,
    group_rows,
    grouped,
    matched_pair,
    run_table,
    shown_columns,
)
from workbench.viewing.selection import NONE, run_choice
from workbench.viewing.text import note, plain, refusals, table
from workbench.viewing.unfinished_runs import log_lines

ALL = "all studies"
COMPARED, OPENED = 12, 8  # runs side by side, and runs with their logs

page = begin(
    "Runs", "Choose runs by the boxes at the left: every page then shows these, and its link too."
)
every = replace(page.where, only=None)
names = [str(row["study"]) for row in studies(every)]
with page.choices():
    study = page.study(every=ALL, width=220)
    here = names if study == ALL else [study]
    known = list(dict.fromkeys(name for one in here for name in metrics(every, one)))
    metric = page.link.choose("Metric", known, "metric", width=180) if known else None
    rows = run_table(every, here, metric)
    if not rows:
        page.stop("There is no run yet.")
    condition = page.link.text(
        "Only runs where", "where", placeholder="unique_tokens >= 12800 and objective != ar",
        width=340, help="COLUMN OP VALUE, joined by and; OP is =, !=, <, <=, >, >= or in. A column "
        "of the table, or any key of the configuration, such as training.lr.",
    )  # fmt: skip
    search = page.link.text("Search", "find", placeholder="mdlm 12800 failed", width=190)
    keys = [name for name in rows[0] if name not in ("run_id", "best", "last", "error")]
    key = page.link.choose("Group by", [NONE, *keys], "group", labels={NONE: "no key"}, usual=NONE,
                           width=170)  # fmt: skip

words = search.lower().split()
shown = [row for row in rows if all(w in " ".join(map(str, row.values())).lower() for w in words)]
with refusals():
    wanted = parse_conditions([condition] if condition.strip() else None, "Only runs where")
    met = matching(conditions_rows(every, shown), wanted, "runs") if wanted else [True] * len(shown)
    shown = [row for row, holds in zip(shown, met, strict=True) if holds]
    if study != ALL:
        shown = best_first(shown, metric)
    if key == NONE:
        run_choice(page, shown_columns(shown), [[row["run_id"]] for row in shown])
    else:
        groups = grouped(shown, key)
        members = [[row["run_id"] for row in group] for group in groups]
        run_choice(page, group_rows(key, groups, metric), members)
    note(f"{len(shown):,} of {len(rows):,} runs.")

picked = list(page.where.only or ())
if not picked and study != ALL and metric is not None:
    pair = partial(matched_pair, every, study, metric)
    picked = cached(every, pair, "pair", study, metric)
page.link.write()
if not picked:
    stop("Choose runs above to see how they differ, their curves and their logs.")

if not page.where.only:
    note("Compared below: a matched pair, of one seed and alike in all keys but those compared.")
if len(picked) > 1:
    st.subheader("How they differ", anchor=False)
    beside = picked[:COMPARED]
    with refusals():
        differences = cached(
            every, lambda: configuration_diff(every.results, beside), "diff", beside
        )
        if differences:
            # One column may hold numbers and words: as text they are all shown as they are.
            table(
                [{k: str(v) if v is not None else None for k, v in d.items()} for d in differences]
            )
        else:
            note("Their configurations are the same.")
        if len(picked) > COMPARED:
            note(f"The first {COMPARED} of {len(picked):,} chosen runs.")

stored = {str(row["run_id"]): row for row in runs(every)}
in_studies = {name: {str(row["run_id"]) for row in runs(every, name)} for name in here}
shared = [name for name in here if set(picked) <= in_studies[name]]
if shared and metric is not None and metric in metrics(every, shared[0]):
    st.subheader("Their curves", anchor=False)
    where = (one_of("run_id", picked),)
    draw(
        every,
        partial(curves_figure, every.results, shared[0], [metric], where=where),
        "curves of runs", shared[0], metric, picked,
    )  # fmt: skip

st.subheader("Logs, texts and provenance", anchor=False)
for run_id in picked[:OPENED]:
    run = stored[run_id]
    unique = f"{run['unique_tokens']:,} unique tokens, " if run["unique_tokens"] else ""
    with st.expander(plain(f"{run_id} · {run['objective']} · {unique}seed {run['seed']}")):
        editor(every, "run", run_id)
        log, texts, origin, config = st.tabs(["Log", "Texts", "Provenance", "Configuration"])
        with log, st.container(height=320, key=f"{OPEN_AT_END} {run_id}", border=False):
            st.code(log_lines(every, run_id, 200) or "(no log)", language=None)
        with texts:
            if RunFolder(every.results / "runs" / run_id).checkpoint_dir.is_dir():
                note("A run records no texts. This makes one with its newest checkpoint:")
                folder = shlex.quote(str(results_folder()))
                st.code(
                    f'workbench sample {run_id} --results {folder} --prompt "Once"', language="bash"
                )
            else:
                note("This run has no checkpoint to make texts with.")
        with origin:
            st.json(json.loads(run["provenance"] or "{}"), expanded=1)
        with config:
            st.json(json.loads(run["config"]), expanded=1)
if len(picked) > OPENED:
    note(f"The first {OPENED} of {len(picked):,} chosen runs.")
