"""`run --launcher slurm --wait`: a submitted study to its end, from any machine.

The runs' folders hold their progress; Slurm is asked, in one rare call for all of them, only
whether jobs are still there. Jobs that vanished without an end of their runs are submitted again.
"""

import math
import sys
import time
from contextlib import suppress
from pathlib import Path

from workbench.errors import WorkbenchError
from workbench.recipe import run_config
from workbench.running.background_ingest import BackgroundIngest
from workbench.running.progress import Progress, RunView, label
from workbench.running.run_report import RunReport
from workbench.running.slurm.queue import Queue, ask
from workbench.running.slurm.submissions import newest_elements, submissions
from workbench.running.slurm.submit import Submitted, submit_folders
from workbench.runs.folder import ENDED, RunFolder
from workbench.runs.lock import AlreadyClaimed

_LOOK_EVERY_S = 2.0
_RESUBMISSIONS = 3  # of what Slurm lost or let fail, without an error of the run itself
_NOT_AGAIN = ("CANCELLED", "COMPLETED", "DEADLINE", "REVOKED")  # somebody's will, or given up


def follow(done: Submitted, results: Path) -> RunReport:
    """Wait until every run is at an end or has nobody left to bring it there.

    Raises:
        KeyboardInterrupt: Ctrl-C. The jobs go on.
    """
    follower = _Follower(done, results)
    try:
        return follower.run()
    except KeyboardInterrupt:
        print(
            "No longer following; the jobs go on. `workbench status` looks at them, "
            f"`workbench cancel {done.name}` ends them.",
            file=sys.stderr,
        )
        raise


class _Follower:
    """The loop that looks at runs and jobs until every run is at an end."""

    def __init__(self, done: Submitted, results: Path) -> None:
        self.results, self.done = results, done
        self.folders = {i: RunFolder(results / "runs" / i) for i in done.all_runs}
        documents = {i: run.config_json() for i, run in self.folders.items()}
        configs = {i: run_config(d) for i, d in documents.items()}
        self.labels = {i: label(i, documents[i], configs[i]) for i in self.folders}
        self.report = RunReport(done.name, skipped=list(done.skipped))
        self.left = {i for i in self.folders if i not in done.skipped}
        for run_id in done.left_out:
            self.report.add(run_id, self.folders[run_id].status().state)
            self.left.discard(run_id)
        self.resubmissions = 0
        self.asked, self.complained = 0.0, -math.inf
        self.ingest = BackgroundIngest(results)
        views = {
            i: RunView(self.labels[i], configs[i].steps, run.status())
            for i, run in self.folders.items()
        }
        self.progress = Progress(done.name, views)

    def run(self) -> RunReport:
        began = time.monotonic()
        try:
            with self.progress:
                while self.left:
                    self._look_at_runs()
                    self._look_at_jobs()
                    self.progress.tick()
                    if note := self.ingest.now_and_then(self._under_way()):
                        self.progress.say(note)
                    if self.left:
                        time.sleep(_LOOK_EVERY_S)
        finally:
            self.ingest.stop()
        for problem in self.ingest.everything():
            print(f"Warning: {problem}", file=sys.stderr)
        self.report.seconds = time.monotonic() - began
        return self.report

    def _under_way(self) -> list[str]:
        views = self.progress.views
        return [i for i in self.left if views[i].status.state == "running"]

    def _look_at_runs(self) -> None:
        for run_id in sorted(self.left):
            status = self.folders[run_id].stored_status()
            before = self.progress.views[run_id].status.state
            self.progress.update(run_id, status)
            if status.state in ENDED:
                self._note_end(run_id)
            elif status.state == "running" and before != "running":
                self.progress.started(run_id)

    def _note_end(self, run_id: str) -> None:
        run, name = self.folders[run_id], self.labels[run_id]
        status = run.stored_status()
        self.left.discard(run_id)
        self.ingest.note(run_id)
        self.report.add(run_id, status.state)
        loss = run.last_value("val_loss") if status.state == "finished" else None
        details = f", val_loss {loss:.4f}" if loss is not None else ""
        details = f": {status.error}; log: {run.log_path}" if status.error else details
        self.progress.say(f"{status.state:<10} {name}{details}")

    def _look_at_jobs(self) -> None:
        """Act on runs whose job is gone, where Slurm has given a new answer since the last look."""
        all_submissions = submissions(self.results)
        try:
            queue = ask(self.results, all_submissions)
        except WorkbenchError as error:
            if time.monotonic() - self.complained > 60:
                self.complained = time.monotonic()
                self.progress.say(f"Slurm cannot be asked ({error}); looking again.")
            return
        if queue.asked == self.asked:
            return
        self.asked = queue.asked
        newest = newest_elements(all_submissions)
        lost: dict[str, RunFolder] = {}
        for run_id in sorted(self.left):
            element, run = newest.get(run_id), self.folders[run_id]
            if (element is not None and queue.has(element)) or run.is_claimed():
                continue
            status = run.status()  # it may have ended since
            if status.state == "cancelled":
                with suppress(AlreadyClaimed):
                    run.settle("cancelled")
            if status.state in ENDED:
                continue
            how = queue.of(element) if element is not None else None
            if how is not None and how.state in _NOT_AGAIN:
                self._gone(run_id, how.state)
            else:
                lost[run_id] = run
        if lost:
            self._again(lost, queue)

    def _gone(self, run_id: str, how: str) -> None:
        self.left.discard(run_id)
        self.report.add(run_id, "interrupted")
        self.progress.say(f"stopped    {self.labels[run_id]}: its job was {how.lower()} in Slurm")

    def _again(self, lost: dict[str, RunFolder], queue: Queue) -> None:
        self.resubmissions += 1
        if self.resubmissions > _RESUBMISSIONS:
            for run_id in lost:
                self._gone(run_id, "lost too often")
            return
        self.progress.say(f"{len(lost)} runs have lost their jobs: submitting them again.")
        submit_folders(
            self.report.study,
            lost,
            self.results,
            self.done.settings,
            retry_failed=False,
            goes_on=True,
        )
