"""Long tables and event files to import."""

from collections.abc import Callable
from pathlib import Path

import pytest

HEADER = "objective,n_params,unique_tokens,metric,total_tokens,value"
ROWS = [
    "ar,1000,100,val_loss,100,5.0",
    "ar,1000,100,val_loss,200,4.0",
    "mdlm,1000,100,val_loss,100,6.0",
    "mdlm,1000,100,val_loss,200,3.5",
]
WriteTable = Callable[..., Path]


@pytest.fixture
def table(tmp_path: Path) -> WriteTable:
    """table(row, ..., header=...) writes a CSV file and gives its path."""

    def write(*rows: str, header: str = HEADER, name: str = "curves.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join([header, *(rows or ROWS)]) + "\n")
        return path

    return write
