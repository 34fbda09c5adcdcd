"""Errors that reach the user as one message, without a traceback."""


class WorkbenchError(Exception):
    """A run or a computation failed. The command line ends with status 1."""


class InputError(WorkbenchError):
    """What the user gave is wrong: a recipe, an argument, a file. Status 2.

    The message names what is wrong, where, and how to mend it.
    """
