"""The page for everybody: hostile text is text, keys alone are enough, any width, light and dark."""

import json
import re

import numpy as np
import pytest

from tests.helpers.report_page import HOSTILE


def test_hostile_text_is_shown_as_text(opened):
    opened.click("#clear")
    opened.evaluate("byId('search').value = 'hostile-0'; byId('search').dispatchEvent(new Event('input'))")
    opened.click("#list .item")
    text = opened.evaluate("byId('detail-body').textContent")
    assert text.count(HOSTILE) >= 3  # question, reply, subject
    assert opened.evaluate("document.querySelectorAll('main script, dialog script, img[src=x]').length") == 0
    assert "other <i>" in opened.evaluate("document.querySelector('.scores').textContent")
    assert opened.evaluate("document.querySelectorAll('.scores i').length") == 0


def test_keys_alone_are_enough(opened):
    opened.press("/", code="Slash", text="/")
    assert opened.evaluate("document.activeElement.id") == "search"
    reached = opened.tab_to("item", 80)
    assert {"clear", "outcome", "register", "item"} <= reached
    first = opened.evaluate("document.activeElement.dataset.position")
    opened.press("ArrowDown")
    assert opened.evaluate("document.activeElement.dataset.position") == str(int(first) + 1)
    opened.press("Enter", text="\r")
    assert opened.evaluate("byId('detail').open")
    title = opened.evaluate("byId('detail-title').textContent")
    opened.press("ArrowRight")
    assert opened.evaluate("byId('detail-title').textContent") != title
    opened.press("ArrowLeft")
    assert opened.evaluate("byId('detail-title').textContent") == title
    opened.press("Escape")
    opened.wait_for(f"!byId('detail').open && document.activeElement.dataset.position === '{int(first) + 1}'")


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_page_fits_any_width(opened, width):
    opened.send("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
    try:
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        assert opened.evaluate("document.querySelector('.track svg').getBoundingClientRect().width") >= 80
        opened.evaluate("openItem(shown[0])")
        opened.wait_for("document.querySelector('#detail-body img').complete")
        assert opened.evaluate("byId('detail').scrollWidth") <= width
        assert opened.evaluate("document.querySelector('#detail-body img').getBoundingClientRect().width") >= 280
    finally:
        opened.send("Emulation.clearDeviceMetricsOverride")


def luminance(colour):
    parts = np.array([float(part) for part in re.findall(r"[\d.]+", colour)[:3]])
    linear = parts if colour.startswith("color(") else parts / 255
    linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(opened, scheme):
    opened.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    background = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (luminance(background) > 0.5) == (scheme == "light")
    selectors = [f".numbers .run{n}" for n in range(3)] + [f".legend .run{n}" for n in range(3)]
    selectors += [
        "caption",
        ".plot .size",
        ".ticks text",
        ".score dt",
        "nav a",
        "#count",
        ".item .where",
        ".item .outcome",
    ]
    selectors += [f".heat{n}" for n in range(11)]
    checked = 0
    for selector in selectors:
        colours = opened.evaluate(
            f"""(() => {{
            let element = document.querySelector({json.dumps(selector)});
            if (!element) return null;
            const style = getComputedStyle(element);
            const text = element.tagName === 'text' ? style.fill : style.color;
            while (getComputedStyle(element).backgroundColor === 'rgba(0, 0, 0, 0)') element = element.parentElement;
            return [text, getComputedStyle(element).backgroundColor];
            }})()"""
        )
        if colours:
            light, dark = sorted(map(luminance, colours), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (selector, colours)
            checked += 1
    assert checked >= 16
