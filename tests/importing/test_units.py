"""Numbers in other units are asked about; what was said about them is done exactly."""

import pytest

from tests.importing.conftest import HEADER, WriteTable
from workbench.errors import InputError
from workbench.importing.importer import preview, read_source
from workbench.importing.request import Request
from workbench.importing.units import parse_units

N, U, D = 10**9, 10**9, 2 * 10**10


def row(of: str = "ar", *, n: object = N, u: object = U, d: object = D, value: object = 3.0,
        metric: str = "val_loss") -> str:  # fmt: skip
    return f"{of},{n},{u},{metric},{d},{value}"


ASKED = {
    "billions of parameters": ([row(n=8), row("mdlm", n=70)], "n_params", 1e9),
    "millions of tokens": ([row(d=20_000), row(d=40_000)], "total_tokens", 1e6),
    "billions of tokens": ([row(d=20), row(d=40)], "total_tokens", 1e9),
    "millions of unique tokens": ([row(u=1000)], "unique_tokens", 1e6),
    "losses as perplexities": ([row(value=20.5), row("mdlm", value=31.0)], "val_loss", 1),
    "a share in percent in one run only": (
        [row(value=45.0, metric="hellaswag_acc"), row("mdlm", value=0.41, metric="hellaswag_acc")],
        "hellaswag_acc", 0.01,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ASKED)
def test_another_unit_is_asked_about_and_the_answer_is_taken(table: WriteTable, case: str) -> None:
    rows, name, factor = ASKED[case]
    path = table(*rows)
    with pytest.raises(InputError, match=f"--unit {name}=") as caught:
        read_source(path)
    assert str(path) in str(caught.value)
    points = read_source(path, Request(units={name: factor}))
    column = name if name in points.frame.columns else "value"
    plain = [float(line.split(",")[HEADER.split(",").index(column)]) for line in rows]
    assert points.frame[column].to_list() == [pytest.approx(x * factor, rel=1e-15) for x in plain]
    assert points.provenance["units"] == {name: factor}
    right = {name: 1.0}
    if name != "hellaswag_acc":
        assert read_source(path, Request(units=right)).frame[column].to_list() == plain


def test_counts_with_a_unit_are_whole(table: WriteTable) -> None:
    path = table(row(n=1.1), row("mdlm", n=0.3))
    frame = read_source(path, Request(units={"n_params": 1e9})).frame
    assert frame["n_params"].to_list() == [1_100_000_000, 300_000_000]


@pytest.mark.parametrize(
    "header", ["tokens (B)", "Tokens [M]", "tokens in billions", "D / 1e9", "trained tokens (1e6)"]
)
def test_a_header_that_names_a_unit_is_asked_about(table: WriteTable, header: str) -> None:
    path = table(row(d=D), header=HEADER.replace("total_tokens", header))
    columns = {"total_tokens": header}
    with pytest.raises(InputError, match=r"--unit total_tokens=1e9"):
        read_source(path, Request(columns=columns))
    frame = read_source(path, Request(columns=columns, units={"total_tokens": 1.0})).frame
    assert frame["total_tokens"].item() == D


@pytest.mark.parametrize("header", ["tokens (total)", "seen tokens", "params_m", "Model Size"])
def test_other_headers_are_not(table: WriteTable, header: str) -> None:
    path = table(row(), header=HEADER.replace("total_tokens", header))
    assert len(preview(path, Request(columns={"total_tokens": header}))[0]) == 1


def test_a_percentage_in_all_runs_is_a_fraction_as_before(table: WriteTable) -> None:
    path = table(*(row(of, value=v, metric="mmlu_acc") for of, v in (("ar", 25), ("mdlm", 31))))
    points = read_source(path)
    assert points.frame["value"].to_list() == [0.25, 0.31]
    assert points.notes == ["mmlu_acc is in percent, and imported as a fraction."]


def test_a_unit_of_nothing_is_refused(table: WriteTable) -> None:
    with pytest.raises(InputError, match=r"--unit n_param=.*did you mean 'n_params'"):
        read_source(table(row()), Request(units={"n_param": 1e9}))
    for wrong in ("many", "0", "-1", "inf", "nan"):
        with pytest.raises(InputError, match=f"--unit n_params={wrong}"):
            parse_units({"n_params": wrong})
