"""Studies' answers for the first page, worked out one after the other beside the pages.

An answer can take seconds, and a page shall not wait for it: it shows what is known, and asks for
the rest. An answer stays as long as its study's numbers do, whatever else is written to the store.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import streamlit as st

from workbench.errors import WorkbenchError
from workbench.report.answers import StudyAnswer, study_answer
from workbench.viewing.cached_store import Source, ask

Found = StudyAnswer | str
"""An answer, or the reason why there is none."""


@dataclass
class _Board:
    """What is known, by results folder and study, with the state of the study that it is of."""

    known: dict[tuple[Path, str], tuple[str, Found]] = field(default_factory=dict)
    wanted: dict[tuple[Path, str], str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    at_work: bool = False

    def want(self, what: dict[tuple[Path, str], str]) -> None:
        """Have answers worked out, in this order, before those that were wanted earlier."""
        with self.lock:
            self.wanted = {**what, **self.wanted, **what}
            if self.wanted and not self.at_work:
                self.at_work = True
                threading.Thread(target=self._work, daemon=True).start()

    def _work(self) -> None:
        while True:
            with self.lock:
                if not self.wanted:
                    self.at_work = False
                    return
                key = next(iter(self.wanted))
                state = self.wanted.pop(key)
            try:
                found: Found = study_answer(*key)
            except WorkbenchError as error:
                found = str(error)
            except Exception as error:  # a fault of ours: the page says so, and goes on
                found = f"No answer: {type(error).__name__}: {error}"
            self.known[key] = state, found


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
    shown: dict[str, tuple[Found | None, bool]] = {}
    for study in studies:
        state, found = known.get((where.results, study), (None, None))
        shown[study] = found, state == now.get(study)
    return shown


def work_out(where: Source, studies: Sequence[str]) -> None:
    """Begin to work out what is not known of these studies, the first one first."""
    now = states(where)
    late = [study for study, (_, current) in answers_of(where, studies).items() if not current]
    _board().want({(where.results, study): now[study] for study in late if study in now})
