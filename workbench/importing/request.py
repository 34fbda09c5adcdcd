"""What a user asks of an import besides its source."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from workbench.errors import InputError
from workbench.messages import suggestion


@dataclass(frozen=True)
class Request:
    """How a source is to be read. What is left out here, the source itself has to tell."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Our name -> the source's column or tag, or the number or text that stands for it."""
    units: Mapping[str, float] = field(default_factory=dict)
    """Column or metric -> what one of its unit is, such as n_params -> 1e9."""
    labels: tuple[str, ...] = ()
    """Columns that distinguish runs, although they would be left out."""
    only: tuple[str, ...] = ()
    """Metrics, tags or columns to read, with * for any text. Empty: all."""
    without: tuple[str, ...] = ()
    """Metrics, tags or columns to leave out, with * for any text."""
    runs: Path | None = None
    """A table that tells of each run what the source does not."""
    pattern: str | None = None
    """A regular expression with named groups, to read lines of text with."""

    def takes(self, *names: str) -> bool:
        """Whether something is to be read, by any of the names it has."""
        wanted = not self.only or _any(self.only, names)
        return wanted and not _any(self.without, names)

    def leaves_out(self, name: str) -> bool:
        """Whether a column is to be left out."""
        return _any(self.without, [name])

    def check(self, names: Iterable[str]) -> None:
        """Check what is to be read or left out against all that there is.

        Raises:
            InputError: one of `only` or `without` is nothing that the source has.
        """
        known = sorted(set(names))
        for option, given in (("--only", self.only), ("--without", self.without)):
            for glob in given:
                if not any(fnmatchcase(name, glob) for name in known):
                    raise InputError(
                        f"{option} {glob}: nothing is called so{suggestion(glob, known) or '.'} "
                        f"There are {', '.join(known)}."
                    )


def _any(globs: Iterable[str], names: Iterable[str]) -> bool:
    return any(fnmatchcase(name, glob) for glob in globs for name in names)
