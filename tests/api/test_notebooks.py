"""The notebooks of docs/notebooks run, from their first cell to their last, on small results."""

from pathlib import Path
from typing import Any

import pytest

from tests.api.notebooks import FOLDER, NAMES, cells, run_cells
from tests.api.test_answers import laws_of

SMALL = {
    "training.total_tokens": 4_096, "data.seq_len": 32, "data.validation_tokens": 2_048,
    "data.validation_documents": 50, "evaluation.points": 4,
    "evaluation.tasks": [], "sweep.data.unique_tokens": [2_048],
}  # fmt: skip


@pytest.fixture
def parameters(tmp_path: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What makes a notebook small, by its name; an empty working folder."""

    def of(name: str) -> dict[str, Any]:
        if name == "first-study":
            text = {"data.corpus": str(corpus), "data.document": "blank-line"}
            return {"SET": SMALL | text}
        if name == "fit-and-extrapolate":
            options = {"starts": 2, "resamples": 20}
            return {"STUDY": laws_of(tmp_path), "LAW": "chinchilla", "OPTIONS": options}
        return {}

    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return of


def lines(name: str) -> int:
    """Lines of code, without blank ones and comments."""
    code = [line for cell in cells(name) for line in cell["source"]]
    return sum(bool(line.strip()) and not line.lstrip().startswith("#") for line in code)


@pytest.mark.training
def test_from_nothing_to_a_paper_figure_in_fewer_than_20_lines(parameters: Any) -> None:
    names = run_cells("first-study", **parameters("first-study"))
    assert names["report"].ok
    assert Path("crossover.pdf").read_bytes().startswith(b"%PDF")
    assert lines("first-study") < 20


@pytest.mark.parametrize("name", [name for name in NAMES if name != "first-study"])
def test_a_notebook_runs_to_its_end(name: str, parameters: Any) -> None:
    names = run_cells(name, **parameters(name))
    if name == "fit-and-extrapolate":
        assert {row.objective for row in names["fits"].predict(1e6, 1e7)} == {"ar", "mdlm"}


def test_notebooks_are_stored_without_outputs() -> None:
    assert NAMES == ["first-study", "fit-and-extrapolate", "own-plots", "wandb-curves"]
    for name in NAMES:
        assert not any(cell["outputs"] or cell["execution_count"] for cell in cells(name)), name


_MARKS = {"wandb-curves": [], "first-study": [pytest.mark.long, pytest.mark.training]}
_IN_A_KERNEL = [pytest.param(n, marks=_MARKS.get(n, [pytest.mark.long])) for n in NAMES]


@pytest.mark.parametrize("name", _IN_A_KERNEL)
def test_a_notebook_runs_in_a_kernel(name: str, parameters: Any, tmp_path: Path) -> None:
    import nbformat
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell

    document = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    given = parameters(name)
    study = given.pop("STUDY", None)
    code = [f"{key} = {value!r}" for key, value in given.items()]
    if study is not None:
        code.append(f"STUDY = wb.Results({str(study.results)!r}).study({study.name!r})")
    first = next(i for i, cell in enumerate(document.cells) if cell.cell_type == "code")
    document.cells.insert(first + 1, new_code_cell("\n".join(code)))
    NotebookClient(document, timeout=1200, resources={"metadata": {"path": "."}}).execute()
    shown = [output for cell in document.cells for output in cell.get("outputs", ())]
    assert any("text/html" in output.get("data", {}) for output in shown)
