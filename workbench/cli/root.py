"""The command itself: its options, and how every outcome becomes an exit status."""

import errno
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, NoReturn

import typer

from workbench.arguments import command
from workbench.cli.values import with_parsers


class Commands(typer.Typer):
    """A group of commands, whose values are read in one way."""

    def command(  # type: ignore[override]
        self, *names: str, **settings: Any
    ) -> Callable[..., Any]:
        """Register a function as a command, as `typer.Typer.command` does."""
        register = super().command(*names, **settings)

        def understood(function: Callable[..., Any]) -> Callable[..., Any]:
            with_parsers(function)
            return register(command(function))

        return understood


app = Commands(
    name="workbench",
    help="Scaling studies of autoregressive against diffusion language models.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(show: bool) -> None:
    if show:
        from workbench.version import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if debug:
        os.environ["WORKBENCH_DEBUG"] = "1"


def main() -> NoReturn:
    """Entry point: every outcome becomes an exit status, and wrong input never a traceback."""
    from workbench.cli.completing import ASKED_BY_A_SHELL
    from workbench.cli.waiting import told
    from workbench.errors import InputError, WorkbenchError
    from workbench.terminal import guard

    guard()
    if ASKED_BY_A_SHELL in os.environ:
        with suppress(Exception):  # a shell that asks for words has no use for messages
            app()
        sys.exit(0)
    try:
        with told(_command()):
            app()
        sys.stdout.flush()
    except InputError as error:
        _fail(error, 2)
    except WorkbenchError as error:
        _fail(error, 1)
    except BrokenPipeError:
        _nobody_reads()
    except SystemExit as ended:
        if isinstance(ended.__context__, BrokenPipeError):  # as Typer and Rich end then, with 1
            _nobody_reads()
        raise
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        # What a disk, a limit or another user's folder refuses, wherever it is met.
        what = "the operating system" if error.filename is None else error.filename
        _fail(WorkbenchError(f"{what}: {error.strerror or error}."), _status_of(error))
    except Exception as error:
        _debug_traceback()
        print(
            f"Internal error: {type(error).__name__}: {error}\n"
            "Run again as `workbench --debug ...` for the traceback.",
            file=sys.stderr,
        )
        sys.exit(1)
    sys.exit(0)


def _nobody_reads() -> NoReturn:
    """End well: the reader of our output, such as `head`, has what it wanted and has left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(0)


def _command() -> str:
    """The command as it is called, for lines about it."""
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    groups = ("data", "tokenizer", "export")
    return " ".join(words[: 2 if words[:1] and words[0] in groups else 1]) or "workbench"


def _fail(error: Exception, code: int) -> NoReturn:
    _debug_traceback()
    print("\n".join(map(_readable, f"Error: {error}".splitlines())), file=sys.stderr)
    sys.exit(code)


def _status_of(error: OSError) -> int:
    """2 where what was given can be no file's name, else 1."""
    return 2 if error.errno in (errno.ENAMETOOLONG, errno.ELOOP) else 1


def _readable(line: str) -> str:
    """A line of a message without the middle of what was given, where that is pages long."""
    if len(line) <= 4_000:
        return line
    return f"{line[:1_500]} ... ({len(line):,} characters) ... {line[-1_500:]}"


def _debug_traceback() -> None:
    if os.environ.get("WORKBENCH_DEBUG"):
        import traceback

        traceback.print_exc()
