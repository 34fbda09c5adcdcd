"""Slurm's commands, and what their failures mean to the user."""

import subprocess

from workbench.errors import InputError, WorkbenchError

_PATIENCE_S = 60.0
_NO_CONTROLLER = (
    "unable to contact slurm controller",
    "connection refused",
    "timed out",
    "zero bytes were transmitted",
    "could not establish a configuration source",
)


class SlurmRefusal(WorkbenchError):
    """Slurm answered with an error."""


def slurm(*command: str, given: str | None = None, patience: float = _PATIENCE_S) -> str:
    """Run one of Slurm's commands and return what it prints.

    Args:
        given: its standard input.
        patience: seconds to wait for it.

    Raises:
        InputError: it is not on this machine.
        SlurmRefusal: it answered with an error.
        WorkbenchError: the controller does not answer.
    """
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, timeout=patience, check=False
        )
    except FileNotFoundError:
        raise InputError(
            f"there is no Slurm on this machine: {command[0]} is not in PATH. Give the command "
            "where the cluster's commands are, such as its login node; without --launcher slurm, "
            "runs train on this machine."
        ) from None
    except subprocess.TimeoutExpired:
        raise WorkbenchError(
            f"{command[0]}: the Slurm controller did not answer within {patience:.0f} s. "
            "Nothing was left behind; try again once `sinfo` answers."
        ) from None
    if done.returncode == 0:
        return done.stdout
    message = _message(done.stderr) or f"status {done.returncode}"
    if any(words in done.stderr.casefold() for words in _NO_CONTROLLER):
        raise WorkbenchError(
            f"the Slurm controller does not answer ({command[0]}: {message}). Try again once "
            "`sinfo` answers."
        )
    raise SlurmRefusal(f"{command[0]}: {message}")


def _message(stderr: str) -> str:
    """Return Slurm's error text without the name of the program before each line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return "; ".join(dict.fromkeys(line.partition(": error: ")[2] or line for line in lines))


def configuration() -> dict[str, str]:
    """The controller's settings, such as MaxArraySize.

    Raises:
        InputError, WorkbenchError: see `slurm`.
    """
    pairs = (line.partition("=") for line in slurm("scontrol", "show", "config").splitlines())
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}
