"""Compute: the cost of training and generating, of a study and of your own model (Figure 12)."""

import streamlit as st

from workbench.analysis.cost import cost_table_row, flops_to_best
from workbench.api.chosen import Chosen
from workbench.figures import generation_flops_figure, training_flops_figure
from workbench.figures.theme import short
from workbench.planning.flops import generation_rows, named_shape, training_rows
from workbench.recipe.sizes import SIZES, ModelShape, default_ffn, padded_vocab
from workbench.report.run_sections import cost_section
from workbench.viewing.cached_store import cached, metrics
from workbench.viewing.drawing import draw
from workbench.viewing.page import begin
from workbench.viewing.page_width import controls
from workbench.viewing.text import note, notes, refusals, table

OWN = "your own"

page = begin("Compute", "What training and generating cost, counted in floating-point operations.")
st.subheader("Generating", anchor=False)
with page.choices():
    size = page.link.choose("Model", [*SIZES, OWN], "size", first="1B", usual="1B", width=140)
    number = page.link.number
    vocab = number("Vocabulary", 2, 1_000_000, "vocab", first=50_258, width=150)
    if size == OWN:
        layers = number("Layers", 1, 500, "layers", first=12, width=120)
        width = number("Width", 8, 100_000, "width", first=768, width=120)
        heads = number("Heads", 1, 1000, "heads", first=12, width=120)
        ffn = number("Feed-forward", 8, 500_000, "ffn", first=default_ffn(768), width=150)
        tied = page.link.toggle("tied embedding", "tied", first=True)
    prompt = number("Prompt tokens", 0, 1_000_000, "prompt", first=0, width=150)
    seq_len = number("Training window", 1, 1_000_000, "window", first=2048, width=160)
if size == OWN:
    shape = ModelShape(layers, width, heads, ffn, padded_vocab(vocab), tied)
else:
    shape = named_shape(size, vocab)
draw(page.where, lambda: generation_flops_figure(shape), "generation", shape)
active = f", {short(shape.n_params_active)} of them a token" if shape.experts is not None else ""
note(
    f"{short(shape.n_params)} parameters{active}. AR with a KV cache against full passes of "
    "diffusion."
)
table(generation_rows(shape, [16, 64, 256, 1024, 4096], None, prompt=prompt))
st.caption("A token of training, with attention over the window:")
table(training_rows(shape, seq_len))

st.subheader("Training, to the best value", anchor=False)
with controls():
    study = page.study(above=False, width=220)
    if metrics(page.where, study):
        metric = page.metric(study, width=220)
page.link.write()
if metrics(page.where, study):
    with refusals():
        costs = cached(
            page.where,
            lambda: flops_to_best(page.where.results, study, metric),
            "flops to best", study, metric,
        )  # fmt: skip
        table([cost_table_row(row) for row in costs])
        draw(
            page.where, lambda: training_flops_figure(costs), "training", study, metric,
            chosen=Chosen(study, "training_flops", {"metric": metric}),
        )  # fmt: skip
    with refusals():
        section = cached(page.where, lambda: cost_section(page.where.results, study), "cost", study)
        table(section.rows)
        notes(section.text)
