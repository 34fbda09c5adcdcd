"""The address of a page in a real browser: Back and Forward, and links that ask in vain."""

from typing import Any

import pytest

from tests.app.conftest import FIGURE, OpenPage, Server
from tests.app.test_browser import address, drawn, no_error


def settled(window: Any, part: str = "") -> str:
    """The address, once it has the part."""
    window.wait_for_function("part => location.href.includes(part)", arg=part)
    return str(window.evaluate("location.pathname + location.search"))


def choose(window: Any, label: str, option: str, part: str) -> str:
    """Choose an option; the address, once it has the part."""
    window.get_by_role("combobox", name=label).click()
    window.get_by_role("option", name=option, exact=True).click()
    window.keyboard.press("Escape")
    return settled(window, part)


def open_by_menu(window: Any, title: str) -> str:
    window.get_by_role("link", name=title).click()
    window.get_by_role("heading", name=title, exact=True).wait_for()
    return settled(window, f"/{title.lower()}?")


def chosen(window: Any) -> tuple[str, list[str]]:
    """What stands in two widgets of the page Curves."""
    metrics = window.locator("[data-testid=stMultiSelect]").first.inner_text().split("\n")[1:]
    return window.get_by_role("combobox", name="Along").input_value(), [m for m in metrics if m]


def shows(window: Any, place: tuple[str, tuple[str, list[str]]]) -> None:
    """Wait until the page has an address and its choices."""
    window.wait_for_function("place => location.pathname + location.search === place", arg=place[0])
    for _ in range(200):
        window.get_by_role("combobox", name="Along").wait_for()
        if chosen(window) == place[1]:
            return
        window.wait_for_timeout(200)
    raise AssertionError(f"{chosen(window)}, not {place[1]}")


def test_back_and_forward_undo_and_redo_choices_over_pages_and_reloads(
    server: Server, window: Any
) -> None:
    failed: list[str] = []

    def note(answer: Any) -> None:
        if answer.status >= 400:
            failed.append(answer.url)

    window.on("response", note)
    window.goto(address(server, "overfitting", "study=quickstart"))
    window.get_by_role("heading", name="Where overfitting begins").wait_for()
    before = settled(window)
    places = [(open_by_menu(window, "Curves"), ("training tokens", ["val_loss"]))]
    shows(window, places[0])
    at = choose(window, "Along", "epochs", "axis=epochs")
    places.append((at, ("epochs", ["val_loss"])))
    at = choose(window, "Metrics", "cloze_acc", "metric=cloze_acc")
    places.append((at, ("epochs", ["val_loss", "cloze_acc"])))
    shows(window, places[2])
    for place in reversed(places[:2]):
        window.go_back()
        shows(window, place)
    window.go_back()
    window.get_by_role("heading", name="Where overfitting begins").wait_for()
    assert settled(window) == before
    for place in places:
        window.go_forward()
        shows(window, place)
    window.reload()
    window.get_by_role("heading", name="Curves").wait_for()
    shows(window, places[2])
    drawn(window)
    open_by_menu(window, "Overfitting")
    shows(window, (open_by_menu(window, "Curves"), places[2][1]))
    window.go_back()
    window.get_by_role("heading", name="Overfitting", exact=True).wait_for()
    for place in reversed(places[1:]):
        window.go_back()
        shows(window, place)
    no_error(window)
    assert not failed, "no request is answered by 404"


def test_a_link_that_asks_for_what_is_not_there_says_so_and_stays(
    server: Server, window: Any
) -> None:
    link = "study=quickstart&metric=val_loss&metric=vall_bpb&axis=epochs"
    window.goto(address(server, "curves", link))
    notice = window.locator("[data-testid=stAlertContentWarning]")
    notice.wait_for()
    assert "Metrics vall_bpb: unknown, did you mean 'val_bpb'?" in notice.inner_text()
    assert settled(window) == f"/curves?{link}"
    assert window.locator(FIGURE).count() == 0, "nothing is shown in its place"
    then = choose(window, "Metrics", "val_bpb", "metric=val_bpb")
    drawn(window)
    assert notice.count() == 0
    assert "metric=val_loss&metric=val_bpb&axis=epochs" in then
    window.go_back()
    notice.wait_for()
    window.get_by_role("button", name="Go on without it").click()
    drawn(window)
    assert chosen(window) == ("epochs", ["val_loss"])


@pytest.mark.parametrize(
    ("name", "wrong", "words"),
    [
        ("overview", {"study": "quickstar"}, "unknown, did you mean 'quickstart'?"),
        ("curves", {"axis": "epoch"}, "Along epoch: unknown, did you mean 'epochs'?"),
        ("curves", {"colour": "training.l"}, "Colour training.l: unknown"),
        ("curves", {"where": 'training.objective="gpt"'}, "Only runs with"),
        ("curves", {"logx": "maybe"}, "log x maybe: unknown. There is: 0, 1."),
        ("crossover", {"over": "seed"}, "Intervals over seed: unknown, did you mean 'seeds'?"),
        ("crossover", {"runs": "nosuchrun"}, "the run nosuchrun: unknown."),
        ("overfitting", {"loss": "x"}, "Loss x: unknown."),
        ("laws", {"resamples": "7"}, "Resamples 7: unknown."),
        ("laws", {"law": "chinchila"}, "did you mean 'chinchilla'?"),
        ("compute", {"vocab": "1"}, "Vocabulary 1: unknown. There is: 2 to 1000000."),
        ("runs", {"group": "weather"}, "Group by weather: unknown."),
        ("sql", {"table": "run"}, "Columns of run: unknown, did you mean 'runs'?"),
        ("sql", {"tabel": "runs"}, "names tabel, which this page does not know, did you mean"),
    ],
)  # fmt: skip
def test_every_kind_of_choice_that_a_link_cannot_have_is_named(
    name: str, wrong: dict[str, str], words: str, trained: Any, open_page: OpenPage
) -> None:
    study = {} if name == "sql" or "study" in wrong else {"study": "quickstart"}
    page = open_page(name, trained, **study, **wrong)
    assert not page.exception
    (notice,) = page.warning
    assert words in notice.value.replace("\\", "")
    (key,) = wrong
    assert page.query_params[key] in (wrong[key], [wrong[key]]), "the address stays"
    if "tabel" in wrong:
        assert page.dataframe, "a name that no choice has stops nothing"
        return
    charts = len(page.get("vega_lite_chart"))
    (button,) = [button for button in page.button if button.label == "Go on without it"]
    button.click().run()
    assert not page.warning
    assert not page.exception
    assert all(box.value is not None for box in page.selectbox)
    assert page.query_params.get(key) not in (wrong[key], [wrong[key]])
    assert len(page.get("vega_lite_chart")) >= charts
