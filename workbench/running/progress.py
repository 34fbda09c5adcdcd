"""How a study gets on: a live table on a terminal, plain lines otherwise. On stderr."""

import sys
import time
from dataclasses import dataclass
from typing import Any

from workbench import stages
from workbench.messages import duration, size_label
from workbench.recipe import RunConfig
from workbench.recipe.sizes import SIZES
from workbench.runs.folder import RunStatus
from workbench.terminal import console, shown

_PLAIN_EVERY_S = 10.0
_ROOM_FOR_BARS = 100  # columns of a terminal


@dataclass
class RunView:
    """One run as the display knows it."""

    label: str
    steps: int
    status: RunStatus


def label(run_id: str, document: dict[str, Any], config: RunConfig) -> str:
    """Describe a run in a few words."""
    size = size_label(document["derived"]["n_params"])
    named = SIZES.get(config.model.size or "")
    # The vocabulary is no part of a named size.
    shape = config.model.model_copy(update={"vocab_size": config.model.vocab_size or 1}).shape
    if named and named.is_of(shape):  # no part of it was set to another value
        size = str(config.model.size)
    unique = f"U={config.data.unique_tokens:,}"
    return f"{run_id} {config.training.objective} {size} {unique} seed {config.training.seed}"


class Progress:
    """Shows runs by id. Use as a context manager; call `update` as often as you like."""

    def __init__(self, study: str, views: dict[str, RunView]) -> None:
        self.study = study
        self.views = views
        self.began = time.monotonic()
        self._at_start = self._done()
        self._first_step: tuple[float, float] | None = None
        """When the first step was seen, and how much was done by then: what goes before it, such
        as imports and compiling, says nothing of what is to come."""
        self._last_plain = self.began
        self._live: Any = None
        self._telling = stages.shown_elsewhere()

    def __enter__(self) -> "Progress":
        self._telling.__enter__()
        if sys.stderr.isatty() and self.views:
            from rich.live import Live

            self._live = Live(
                console=console(stderr=True), get_renderable=self._table, refresh_per_second=4
            )
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()
        self._telling.__exit__(None, None, None)

    def say(self, line: str) -> None:
        """Print a line that the live table does not replace."""
        if self._live is not None:
            from rich.markup import escape

            self._live.console.print(escape(line), highlight=False, soft_wrap=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def started(self, run_id: str) -> None:
        """Say that a run was handed to a worker; the live table shows it anyway."""
        if self._live is None:
            self.say(f"started    {self.views[run_id].label}")

    def update(self, run_id: str, status: RunStatus) -> None:
        self.views[run_id].status = status
        if self._first_step is None and self._done() > self._at_start:
            self._first_step = time.monotonic(), self._done()

    def tick(self) -> None:
        """Print a progress line now and then, where there is no terminal."""
        now = time.monotonic()
        if self._live is None and now - self._last_plain >= _PLAIN_EVERY_S:
            self._last_plain = now
            running = [
                f"{view.label} {view.status.step}/{view.steps}"
                for view in self.views.values()
                if view.status.state == "running"
            ]
            self.say(f"{self._headline()}: {', '.join(running) or 'starting'}")

    def _done(self) -> float:
        """Steps done over all runs, as a share of those planned."""
        total = sum(view.steps for view in self.views.values())
        return sum(min(v.status.step, v.steps) for v in self.views.values()) / max(total, 1)

    def _headline(self) -> str:
        done, now = self._done(), time.monotonic()
        line = f"{self.study}  {done:.0%}  {duration(now - self.began)}"
        if self._first_step is not None and done < 1:
            began, before = self._first_step
            advanced = done - before
            if advanced > 0.02:
                line += f", about {duration((now - began) * (1 - done) / advanced)} to go"
        return line

    def _table(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        views = self._shown()
        table.add_column("run")  # where there is no room, it is the label that is cut
        table.add_column("state", no_wrap=True)
        wide = self._live is None or self._live.console.width >= _ROOM_FOR_BARS
        if wide:
            table.add_column("bar", width=24)
        table.add_column("step", justify="right", no_wrap=True)
        for view in views:
            label_text = Text(shown(view.label), no_wrap=True, overflow="ellipsis")
            bar = ProgressBar(total=view.steps, completed=view.status.step, width=24)
            bars = [bar] if wide else []
            count = f"{view.status.step}/{view.steps}"
            table.add_row(label_text, Text(view.status.state), *bars, count)
        return Group(Text(self._headline()), table)

    def _shown(self) -> list[RunView]:
        """Return the runs that fit the table: all of a small study, the running ones of a large."""
        views = list(self.views.values())
        if len(views) > 20:
            views = [view for view in views if view.status.state == "running"][:20]
        return views
