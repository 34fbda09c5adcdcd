"""Compare: curves of several studies in one figure."""

from typing import cast

from workbench.api.chosen import Chosen
from workbench.figures import studies_figure
from workbench.figures.points import OBJECTIVE, Band
from workbench.figures.several_studies import STUDY
from workbench.viewing.cached_store import differing, loader, metrics, studies
from workbench.viewing.drawing import draw
from workbench.viewing.page import begin
from workbench.viewing.text import note

BANDS = {"range": "least to greatest", "t95": "95 % t interval", "none": "none"}
NONE = "none"

page = begin("Compare", "Curves of several studies, like compared with like.")
with page.choices():
    study = page.study(width=220)
    known = metrics(page.where, study)
    if not known:
        page.stop(f"Study {study} has no numbers yet.")
    metric = page.link.choose("Metric", known, "metric", width=220)
    names = [str(row["study"]) for row in studies(page.where)]
    able = [name for name in names if name != study and metric in metrics(page.where, name)]
    others = page.link.choose_many(
        "With", able, "others", first=able[:1], placeholder="other studies", width=420
    )
    axis = page.axis(width=210)
keys = list(dict.fromkeys(key for name in (study, *others) for key in differing(page.where, name)))
with page.choices():
    colour = page.link.choose(
        "Colour", [STUDY, *dict.fromkeys([OBJECTIVE, *keys])], "colour", usual=STUDY, width=220
    )
    facet = page.link.choose(
        "A panel for each", [NONE, STUDY, *dict.fromkeys([OBJECTIVE, *keys])], "facet",
        labels={NONE: "metric"}, usual=NONE, width=220,
    )  # fmt: skip
    band = page.link.choose(
        "Band over seeds", list(BANDS), "band", labels=BANDS, usual="range", width=220
    )
page.link.write()
if not others:
    note(f"No other study is chosen, or none has {metric}: choose one to compare with.")
else:
    draw(
        page.where,
        lambda: studies_figure(
            page.where.results, [study, *others], metric, axis, colour=colour,
            facet=None if facet == NONE else facet, band=cast("Band", band),
            load=loader(page.where),
        ),
        "studies", study, others, metric, axis, colour, facet, band,
        chosen=Chosen(study, "studies", {
            "others": others, "metric": metric, "axis": axis, "colour": colour,
            "facet": None if facet == NONE else facet, "band": band,
        }),
    )  # fmt: skip
