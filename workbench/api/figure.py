"""A figure in a notebook: its chart, its data, and files of it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench import figures
from workbench.arguments import public

if TYPE_CHECKING:
    import altair as alt
    import polars as pl


@public
@dataclass(frozen=True)
class Figure:
    """A figure: `chart` (Altair), `data` (Polars), and `save`. A notebook shows the chart."""

    drawn: figures.Figure
    """What the figure functions of the workbench return."""

    @property
    def chart(self) -> "alt.TopLevelMixin":
        """The chart, to show or to change further."""
        return self.drawn.chart

    @property
    def data(self) -> "pl.DataFrame":
        """What is drawn, one row a mark."""
        return self.drawn.data

    @property
    def title(self) -> str:
        """What it shows, in a few words."""
        return self.drawn.title

    @property
    def caption(self) -> tuple[str, ...]:
        """What a figure for print leaves to its caption: its title, and what values measure."""
        return self.drawn.caption

    def save(self, path: str | Path, *, with_data: bool = False) -> Path:
        """Write it as .svg, .png, .pdf, .html or .json, by the name; the file's path.

        Args:
            path: a figure for print is written in its true size.
            with_data: also write the data, as .csv beside it.

        Raises:
            InputError: another suffix, a font that is not installed, or the file cannot be written.
        """
        figures.save(self.drawn, Path(path), save_data=with_data)
        return Path(path)

    def _repr_mimebundle_(self, *arguments: Any, **options: Any) -> Any:
        return self.chart._repr_mimebundle_(*arguments, **options)
