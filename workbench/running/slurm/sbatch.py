"""Submission of all arrays or of none."""

import shutil
from collections.abc import Callable
from contextlib import suppress

from workbench.errors import InputError, WorkbenchError
from workbench.running.slurm.commands import SlurmRefusal, configuration, slurm
from workbench.running.slurm.script import batch_script
from workbench.running.slurm.submissions import SUBMITTED, SUBMITTING, Submission

DEFAULT_ARRAY_SIZE = 1001  # Slurm's own


def largest_array() -> int:
    """Tasks that an array may have here: indices are less than MaxArraySize.

    Raises:
        InputError: there is no Slurm on this machine.
        WorkbenchError: its controller does not answer.
    """
    size = int(configuration().get("MaxArraySize", DEFAULT_ARRAY_SIZE))
    if size < 2:
        raise InputError("this Slurm forbids job arrays (MaxArraySize), which studies need.")
    return size - 1


def scripts(submission: Submission) -> list[str]:
    """The batch script of each array."""
    return [
        batch_script(
            array,
            submission.settings,
            name=submission.name,
            folder=submission.folder,
            number=number,
        )
        for number, array in enumerate(submission.arrays)
    ]


def would_be_taken(submission: Submission) -> None:
    """Ask Slurm whether it would take every array, and leave nothing there.

    `--test-only` also refuses what nodes that are down at the moment could run, which a submission
    would wait for. So a refusal is only believed of a submission, for some day and taken back at
    once. (Jobs on hold are not checked against the nodes.)

    Raises:
        InputError: there is no Slurm here, or it would refuse.
        WorkbenchError: its controller does not answer.
    """
    for script in scripts(submission):
        try:
            slurm("sbatch", "--test-only", given=script)
        except SlurmRefusal:
            try:
                slurm("sbatch", "--parsable", "--begin=now+30days", given=script)
            except SlurmRefusal as refusal:
                raise _refused(submission, refusal) from None
            finally:
                take_back(submission)


def submit(submission: Submission, mark: Callable[[], None], unmark: Callable[[], None]) -> None:
    """Submit every array on hold, mark its runs, and only then release the arrays.

    Args:
        mark: makes the runs' folders say that they are submitted.
        unmark: takes that back.

    Raises:
        InputError: Slurm refuses an array. None is left in the queue, and no run marked.
        WorkbenchError: the controller does not answer, or the disk is full. Likewise.
    """
    submission.save()
    try:
        for number, script in enumerate(scripts(submission)):
            (submission.folder / f"array-{number}.sh").write_text(script)
            answer = slurm("sbatch", "--parsable", "--hold", given=script)
            submission.job_ids.append(answer.strip().partition(";")[0])
        mark()
        submission.state = SUBMITTED
        submission.save()
        slurm("scontrol", "release", ",".join(submission.job_ids))
    except BaseException as error:
        take_back(submission)
        unmark()
        shutil.rmtree(submission.folder, ignore_errors=True)
        if isinstance(error, SlurmRefusal):
            raise _refused(submission, error) from None
        if isinstance(error, OSError):
            raise WorkbenchError(f"{submission.folder}: {error.strerror}.") from error
        raise


def take_back(submission: Submission) -> None:
    """Cancel whatever of a submission reached the queue, known to us or not."""
    with suppress(WorkbenchError):
        slurm("scancel", f"--name={submission.name}")


def take_back_unfinished(all_submissions: list[Submission]) -> None:
    """Cancel what a submitter that was killed left on hold in the queue."""
    for submission in all_submissions:
        if submission.state == SUBMITTING:
            slurm("scancel", f"--name={submission.name}")
            shutil.rmtree(submission.folder, ignore_errors=True)


def _refused(submission: Submission, refusal: SlurmRefusal) -> InputError:
    asked = ", ".join(
        f"{key} = {value!r}"
        for key in ("partition", "account", "qos", "constraint", "time", "nodes", "gpus_per_node",
                    "cpus_per_node", "memory", "options")
        if (value := getattr(submission.settings, key))
    )  # fmt: skip
    return InputError(
        f"Slurm refuses {submission.study}: {refusal}. Nothing was submitted. Asked for: "
        f"{asked or 'nothing in particular'}. Change [launcher.slurm] in the recipe or the site "
        "file (`sinfo` and `scontrol show partition` show what there is)."
    )
