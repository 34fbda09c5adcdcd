"""What a figure does under the mouse, in a real browser."""

import re
from typing import Any

from tests.app.conftest import FIGURE, Server
from tests.app.test_browser import address, drawn, no_error

LINES = f"{FIGURE} .mark-line path"
SCROLL = "document.querySelector('[data-testid=stMain]').scrollTop"


def ticks(window: Any) -> list[str]:
    """The labels of a figure's axes."""
    return sorted(window.locator(f"{FIGURE} .role-axis-label text").all_text_contents())


def changed(window: Any, before: list[str]) -> list[str]:
    """The labels of the axes, once they are others."""
    for _ in range(100):
        if (now := ticks(window)) != before:
            return now
        window.wait_for_timeout(100)
    raise AssertionError(f"the axes stay as they are: {before}")


def middle(window: Any) -> tuple[float, float]:
    """A place in the middle of a figure's first panel."""
    panel = window.locator(f"{FIGURE} .mark-group.role-scope .background").first
    panel.scroll_into_view_if_needed()
    window.wait_for_timeout(500)
    box = panel.bounding_box()
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def opacities(window: Any) -> list[float]:
    """How opaque each line is."""
    return window.locator(LINES).evaluate_all(
        "lines => lines.map(line => Number(line.getAttribute('opacity') ?? 1))"
    )


def test_a_figure_zooms_pans_lists_values_and_shows_the_curves_chosen_in_its_legend(
    server: Server, window: Any
) -> None:
    window.goto(address(server, "curves", "study=quickstart&metric=val_loss"))
    drawn(window)
    window.wait_for_timeout(1000)
    x, y = middle(window)

    window.mouse.move(x - 8, y)
    window.mouse.move(x, y)
    tip = window.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    text = tip.inner_text()
    assert "training tokens" in text
    for objective in ("AR", "masked diffusion"):
        for budget in ("12.8k", "32k"):
            assert f"{objective}, {budget} unique tokens" in text
    values = re.findall(r"~?\d\.\d+.*, run \w+", text)
    assert len(values) == 4, text
    assert window.locator(f"{FIGURE} .mark-rule.role-mark line[opacity='1']").count() == 1

    whole = ticks(window)
    scrolled = window.evaluate(SCROLL)
    window.keyboard.down("Control")
    window.mouse.wheel(0, -500)
    window.keyboard.up("Control")
    near = changed(window, whole)
    assert window.evaluate(SCROLL) == scrolled
    window.mouse.down()
    window.mouse.move(x - 220, y + 60, steps=5)
    window.mouse.up()
    changed(window, near)
    window.mouse.dblclick(x, y)
    for _ in range(100):
        if ticks(window) == whole:
            break
        window.wait_for_timeout(100)
    assert ticks(window) == whole, "a double click takes it all back"
    window.mouse.wheel(0, 40)
    window.wait_for_timeout(500)
    assert ticks(window) == whole, "the wheel alone is the page's"

    before = opacities(window)
    window.locator(f"{FIGURE} .role-legend-label text", has_text="AR").first.click()
    for _ in range(50):
        if len(set(opacities(window))) > 1:
            break
        window.wait_for_timeout(100)
    faded = [opacity for opacity in opacities(window) if opacity < 0.1]
    assert len(faded) * 2 == len(before), "the curves of the other objective"
    no_error(window)


def test_a_link_has_the_part_of_the_axis_that_is_drawn(server: Server, window: Any) -> None:
    link = "study=quickstart&metric=val_loss&from=20k&to=40k&smooth=0.1"
    window.goto(address(server, "curves", link))
    drawn(window)
    window.wait_for_function("!location.search.includes('token')")
    assert {"from=20k", "to=40k"} <= set(window.url.partition("?")[2].split("&"))
    marks = set(ticks(window))
    assert "30k" in marks
    assert not marks & {"10k", "50k"}
    # Nine evaluations are no curve to smooth.
    window.locator(f"{FIGURE} text", has_text="as measured, with fewer than").first.wait_for()
    window.goto(address(server, "curves", "study=quickstart&metric=val_loss&from=somewhere"))
    window.get_by_text("expected a place along the axis").wait_for()


def test_a_refusal_is_the_last_word(server: Server, window: Any) -> None:
    window.goto(address(server, "crossover", "study=quickstart&metric=val_loss&definition=band"))
    drawn(window)
    window.goto(address(server, "crossover", "study=reference&metric=val_loss&axis=flops"))
    window.get_by_text("no FLOPs are known").wait_for()
    assert window.get_by_text("Nothing to compare").count() == 0
