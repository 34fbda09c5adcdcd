"""A figure in a notebook: the chart, its data, and how it is made for print."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import figures
from workbench.figures import Paper

if TYPE_CHECKING:
    import altair as alt
    import polars as pl


@dataclass(frozen=True)
class Figure:
    """A figure: `chart` (Altair), `data` (Polars), and `save`. A notebook shows the chart."""

    drawn: figures.Figure
    """As on a screen."""
    paper: Paper | None = None
    """How it is made for print; None for a screen."""

    @cached_property
    def _shown(self) -> figures.Figure:
        return self.drawn if self.paper is None else figures.for_paper(self.drawn, self.paper)

    @property
    def chart(self) -> "alt.TopLevelMixin":
        """The chart, to show or to change further."""
        return self._shown.chart

    @property
    def data(self) -> "pl.DataFrame":
        """What is drawn, one row a mark."""
        return self.drawn.data

    @property
    def title(self) -> str:
        return self.drawn.title

    @property
    def caption(self) -> tuple[str, ...]:
        """What a figure for print leaves to its caption: its title, and what values measure."""
        return self._shown.caption

    def save(self, path: str | Path, *, with_data: bool = False) -> Path:
        """Write it as .svg, .png, .pdf, .html or .json, by the name; the file's path.

        Args:
            with_data: also write the data, as .csv beside it.

        Raises:
            InputError: another suffix, no room at this width, or the file cannot be written.
        """
        figures.save(self.drawn, Path(path), save_data=with_data, paper=self.paper)
        return Path(path)

    def _repr_mimebundle_(self, *arguments: Any, **options: Any) -> Any:
        return self.chart._repr_mimebundle_(*arguments, **options)
