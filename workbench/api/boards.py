"""Exports of several people as one site."""

from collections.abc import Sequence
from pathlib import Path

from workbench.arguments import public
from workbench.report.board.write import Board, write_board

__all__ = ["Board", "board"]


@public
def board(exports: str | Path | Sequence[str | Path], out: str | Path) -> Board:
    """Write several people's exports as one static site; what stands in it, and where.

    Crossovers, best losses at equal data and at equal compute, forecasts scored and runs
    reproduced: like compared with like, each number linked to its recipe, seeds and versions. The
    exports are only read.

    Args:
        exports: a dataset that `workbench export parquet` wrote, a folder of several, a URL, or
            `shipped`; or a list of them.
        out: the folder of the site; an earlier board in it is replaced.

    Raises:
        InputError: no export, one that is damaged or of a newer workbench, two of one name, or
            `out` has other files. Nothing is written.
        WorkbenchError: the files cannot be written.
    """
    return write_board([exports] if isinstance(exports, str | Path) else exports, Path(out))
