"""Keys: any key of the runs against the best or the last value, one at a time and several."""

from typing import Any, cast

from workbench.api.chosen import Chosen
from workbench.figures import key_figure, parallel_figure
from workbench.figures.points import OBJECTIVE
from workbench.viewing.cached_store import differing, swept_keys
from workbench.viewing.drawing import draw
from workbench.viewing.page import begin
from workbench.viewing.page_width import controls
from workbench.viewing.selection import key_choice, where_choice

AT = {"last": "last value", "best": "best value"}
_SEEDS = ("training.seed", "data.seed")

page = begin("Keys", "Any key against the value that runs came to.")
results = page.where.results
with page.choices():
    study = page.study(width=220)
    metric = page.metric(study, width=220)
    at: Any = page.link.choose("Of each run", list(AT), "at", labels=AT, usual="last", width=160)
    values = differing(page.where, study)
    known = [key for key in values if key not in _SEEDS]
    if not known:
        page.stop(f"The runs of study {study} differ in no key.")
    swept = swept_keys(page.where, study)
    # One that objectives share, so that all runs are drawn; what is swept before what differs too.
    able = [
        key for key in dict.fromkeys([*swept, *known])
        if sum(value is not None for value in values.get(key, ())) > 1
        and not key.startswith("evaluation.")
    ]  # fmt: skip
    first = next((key for key in able if key != OBJECTIVE), OBJECTIVE)
    key = page.link.choose("Key", known, "key", first=first, width=260)
    colour = key_choice(page, "Colour", study, "colour", none="objective", width=220)
    only = where_choice(page, study)
draw(
    page.where,
    lambda: key_figure(results, study, metric, key, at, colour=colour, where=only),
    "key", study, metric, key, at, colour, only,
    chosen=Chosen(study, "key", {
        "key": key, "metric": metric, "at": at, "colour": colour,
        "where": [str(one) for one in only],
    }),
)  # fmt: skip
with controls():
    several = page.link.choose_many(
        "Several keys, an axis each", known, "keys", placeholder="those that differ", width=520
    )
page.link.write()
draw(
    page.where,
    lambda: parallel_figure(results, study, metric, several, cast("Any", at), where=only),
    "parallel", study, metric, several, at, only,
    chosen=Chosen(study, "parallel", {
        "keys": several, "metric": metric, "at": at, "where": [str(one) for one in only],
    }),
)  # fmt: skip
