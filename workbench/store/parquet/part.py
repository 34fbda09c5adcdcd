"""A file of a dataset that has the numbers or the items of several runs."""

import hashlib
from dataclasses import dataclass, field

from workbench.store.parquet.layout import FORMAT
from workbench.store.schema import Table


@dataclass
class Part:
    """One file: its runs with the source that their rows are read from."""

    path: str
    table: Table
    sources: dict[str, str] = field(default_factory=dict)
    rows: int = 0

    @property
    def digest(self) -> str:
        """A hash of what the file is made from: the columns, and each run's source."""
        columns = ",".join(column.name for column in self.table.columns)
        sources = "".join(
            f"{run_id}\t{source}\n" for run_id, source in sorted(self.sources.items())
        )
        return hashlib.sha256(f"{FORMAT}\n{columns}\n{sources}".encode()).hexdigest()
