"""Studies' answers for the first page, worked out one after the other beside the pages.

An answer can take seconds, and a page shall not wait for it: it shows what is known, and asks for
the rest. An answer stays as long as its study's numbers do, whatever else is written to the store;
while a study trains it is worked out again now and then: training has the machine most of the time.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from workbench.errors import WorkbenchError
from workbench.report.answers import StudyAnswer, study_answer
from workbench.viewing.cached_store import Source, ask

Found = StudyAnswer | str
"""An answer, or the reason why there is none."""
_REST_S, _SHARE = 60.0, 20.0
"""An answer rests for so many seconds, and so many times as long as it took."""


@dataclass(frozen=True)
class Known:
    """What is known of a study."""

    found: Found
    state: str
    """The state of the study that it is of."""
    due: float
    """From when on it may be worked out again, by the clock of this process."""


@dataclass
class _Board:
    """What is known and wanted, by results folder and study."""

    known: dict[tuple[Path, str], Known] = field(default_factory=dict)
    wanted: dict[tuple[Path, str], str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    at_work: bool = False

    def want(self, what: dict[tuple[Path, str], str]) -> None:
        """Have answers worked out, in this order, before those that were wanted earlier."""
        with self.lock:
            self.wanted = {**what, **self.wanted, **what}
            if self.wanted and not self.at_work:
                self.at_work = True
                # Python waits for it at its end: inside a library it could not be stopped.
                threading.Thread(target=self._work, daemon=False).start()

    def _work(self) -> None:
        while True:
            with self.lock:
                if not self.wanted or not threading.main_thread().is_alive():
                    self.at_work = False
                    return
                key = next(iter(self.wanted))
                state = self.wanted.pop(key)
            began = time.monotonic()
            try:
                found: Found = study_answer(*key)
            except WorkbenchError as error:
                found = str(error)
            except Exception as error:  # a fault of ours: the page says so, and goes on
                found = f"No answer: {type(error).__name__}: {error}"
            ended = time.monotonic()
            due = ended + max(_REST_S, _SHARE * (ended - began))
            self.known[key] = Known(found, state, due)


@st.cache_resource(show_spinner=False)
def _board() -> _Board:
    return _Board()


def states(where: Source) -> dict[str, str]:
    """A text for each study that changes whenever one of its numbers or runs does."""
    rows = ask(
        where,
        """WITH counted AS (SELECT run_id, count(*) AS numbers FROM metrics GROUP BY run_id)
           SELECT study, hash(compare)::VARCHAR || ':' || count(run_id)::VARCHAR || ':' ||
                  coalesce(bit_xor(hash(run_id, state, steps_done, numbers)), 0)::VARCHAR AS now
           FROM studies LEFT JOIN study_runs USING (study) LEFT JOIN runs USING (run_id)
                LEFT JOIN counted USING (run_id)
           GROUP BY study, compare""",
    )
    return dict(rows.rows())


def answers_of(where: Source, studies: Sequence[str]) -> dict[str, tuple[Found | None, bool]]:
    """What is known of each study, and whether that is of its state now."""
    now, known = states(where), _board().known
    of = {study: known.get((where.results, study)) for study in studies}
    return {
        study: (one.found, one.state == now.get(study)) if one is not None else (None, False)
        for study, one in of.items()
    }


def awaited(where: Source, studies: Sequence[str]) -> list[str]:
    """The studies whose answers are to be worked out now."""
    now, known, clock = states(where), _board().known, time.monotonic()
    late = []
    for study in studies:
        one = known.get((where.results, study))
        if one is None or (one.state != now.get(study) and clock >= one.due):
            late.append(study)
    return late


def at_rest() -> bool:
    """Whether no answer is being worked out: DuckDB lets no process write a store that it reads."""
    return not _board().at_work


def work_out(where: Source, studies: Sequence[str]) -> None:
    """Begin to work out what is awaited of these studies, the first one first."""
    now = states(where)
    late = awaited(where, studies)
    _board().want({(where.results, study): now[study] for study in late if study in now})
