"""What stands under a table: methods without repeats, what is missing, runs left out."""

from workbench.analysis.interval_notes import definition_notes, notes_of


def row(method: str | None, note: str | None = None, *unfinished: str) -> dict:
    return {"ci95_method": method, "ci95_note": note, "unfinished": list(unfinished)}


def test_methods_that_differ_in_degrees_of_freedom_alone_are_one_line() -> None:
    rows = [row(f"band over 5 seeds, {dof} degrees of freedom") for dof in ("6.3", "4", "11.2")]
    assert notes_of(rows) == ["Intervals: band over 5 seeds, 4 to 11.2 degrees of freedom."]
    assert notes_of([rows[1], rows[1]]) == ["Intervals: band over 5 seeds, 4 degrees of freedom."]
    one = row("band over 2 seeds, 1 degree of freedom")
    assert notes_of([one]) == ["Intervals: band over 2 seeds, 1 degree of freedom."]
    normal = row("band over 5 seeds, infinitely many degrees of freedom")
    assert "4 to infinitely many" in notes_of([normal, rows[1]])[0]


def test_different_methods_stay_apart() -> None:
    (line,) = notes_of([row("over 5 seeds, 4 degrees of freedom"), row("bootstrap")])
    assert line == "Intervals: over 5 seeds, 4 degrees of freedom; bootstrap."


def test_notes_and_unfinished_runs_are_said_once() -> None:
    rows = [row(None, "one seed", "a", "b"), row(None, "one seed", "b"), row(None)]
    assert notes_of(rows) == [
        "Note: one seed.",
        "Note: unfinished runs, left out where there are finished ones: a, b.",
    ]
    assert notes_of([]) == []


def test_each_definition_of_a_table_is_said_once() -> None:
    rows = [{"definition": name} for name in ("band", "point", "band", "best_so_far")]
    lines = definition_notes(rows)
    assert [line.rpartition("(")[2] for line in lines] == ["band).", "point).", "best_so_far)."]
