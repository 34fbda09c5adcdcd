"""Overfitting: what validation loss hides (arXiv 2511.03276, Figures 8, 9 and 11)."""

from functools import partial

import streamlit as st

from workbench.analysis.overfitting import overfitting_onset
from workbench.analysis.table_rows import onset_table_row
from workbench.api.chosen import Chosen
from workbench.figures import loss_against_accuracy_figure, nll_gap_figure, onset_figure
from workbench.metrics import higher_is_better
from workbench.viewing.cached_store import cached, metrics
from workbench.viewing.drawing import draw
from workbench.viewing.page import begin
from workbench.viewing.selection import where_choice
from workbench.viewing.text import note, refusals, table

page = begin("Overfitting", "A held-out loss can rise while the model still gets better.")
results = page.where.results
with page.choices():
    study = page.study(width=220)
    known = metrics(page.where, study)
    losses = [m for m in known if m.startswith(("val_", "cloze_nll")) and not higher_is_better(m)]
    accuracies = [m for m in known if higher_is_better(m) and m != "tokens_per_second"]
    if not losses and not accuracies:
        page.stop(f"Study {study} has no held-out loss and no accuracy yet.")
    loss = page.link.choose("Loss", losses, "loss", width=220) if losses else None
    accuracy = (
        page.link.choose("Accuracy", accuracies, "accuracy", width=260) if accuracies else None
    )
    only = where_choice(page, study)
page.link.write()
conditions = [str(one) for one in only]

if loss is not None and accuracy is not None:
    st.subheader("Accuracy against loss, along training", anchor=False)
    draw(
        page.where,
        partial(loss_against_accuracy_figure, results, study, loss, accuracy, only),
        "loss and accuracy", study, loss, accuracy, only,
        chosen=Chosen(
            study, "loss_against_accuracy",
            {"loss": loss, "accuracy": accuracy, "where": conditions},
        ),
    )  # fmt: skip
else:
    what = "a held-out loss" if loss is None else "an accuracy"
    note(f"Study {study} lacks {what}: the two cannot be compared.")

if {"cloze_nll_true", "cloze_nll_other"} <= set(known):
    st.subheader("True endings, other endings, and their gap", anchor=False)
    note(
        "A question is answered by the ending of least NLL: accuracy follows the gap, which can "
        "widen while both NLLs rise."
    )
    draw(
        page.where,
        lambda: nll_gap_figure(results, study, loss=loss or "val_loss", where=only),
        "gap", study, loss, only,
        chosen=Chosen(study, "nll_gap", {"loss": loss or "val_loss", "where": conditions}),
    )  # fmt: skip

if loss is not None:
    st.subheader("Where overfitting begins", anchor=False)
    note(
        "The epoch of the lowest loss; a bound (>) where it has not risen since by more than noise."
    )
    with refusals():
        onsets = cached(
            page.where, partial(overfitting_onset, results, study, loss), "onset", study, loss
        )
        table([onset_table_row(row) for row in onsets])
        draw(
            page.where, lambda: onset_figure(onsets), "onset", study, loss,
            chosen=Chosen(study, "onset", {"metric": loss}),
        )  # fmt: skip
