"""The gallery in a real browser, without server or network."""

import json
import re

import numpy as np
import pytest

from dataset_builder.gallery.gallery import FILTERS, write_gallery
from dataset_builder.pictures.render import MARKER_COLOURS
from tests.helpers.gallery_rows import HOSTILE, png, row, write


@pytest.fixture
def opened(browser, page):
    with browser.watched(page):
        yield browser
        assert browser.requests == [page.resolve().as_uri()]


def shown(browser):
    return browser.evaluate("[...document.querySelectorAll('article')].filter((a) => !a.hidden).map((a) => a.id)")


def test_images_decode_and_say_what_they_are(opened):
    assert len(shown(opened)) == 9
    opened.evaluate(
        "(async () => { for (const image of document.querySelectorAll('article img')) {"
        " image.scrollIntoView(); for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame); } })()"
    )
    opened.wait_for(
        "[...document.querySelectorAll('article img')].every((image) => image.complete && image.naturalWidth === 64)"
    )
    alternatives = opened.evaluate("[...document.querySelectorAll('article img')].map((image) => image.alt)")
    assert len(alternatives) == 11
    assert "axial CT slice in radiological convention; a box marks each structure asked about" in alternatives
    assert any("image 3 of 3" in text for text in alternatives)


def test_images_far_below_wait(browser, dataset, tmp_path):
    write_gallery(dataset, tmp_path / "all.html", per_cell=100)
    browser.open(tmp_path / "all.html")
    loaded = "[...document.querySelectorAll('article img')].filter((image) => image.src).length"
    browser.wait_for(f"{loaded} > 0")
    assert browser.evaluate(loaded) < 30


def test_answer_is_hidden_until_asked_for(opened):
    visible = "document.querySelector('#example-{0} dl').checkVisibility()"
    identity = shown(opened)[0].removeprefix("example-")
    assert not opened.evaluate(visible.format(identity))
    assert opened.evaluate("document.querySelectorAll('.open').length") == 0
    opened.click(f"#example-{identity} .reveal")
    assert opened.evaluate(visible.format(identity))
    item = opened.evaluate(f"data.items.find((item) => item.id === '{identity}')")
    style = f"getComputedStyle(document.querySelectorAll('#example-{identity} .options li')[{{}}]).fontWeight"
    assert opened.evaluate(style.format(item["answer_index"])) == "600"
    assert opened.evaluate(style.format(1 - item["answer_index"])) == "400"
    fields = opened.evaluate(f"document.querySelector('#example-{identity} dl').innerText")
    for text in (item["answer"], "CC-BY-4.0", "sample", "soft tissue W400 L40", item["subject"], "liver, spleen"):
        assert text in fields
    opened.click(f"#example-{identity} .reveal")
    assert not opened.evaluate(visible.format(identity))


def test_all_answers_at_once(opened):
    opened.click("#answers")
    assert opened.evaluate("document.querySelectorAll('article.open').length") == 9
    assert "answers=1" in opened.evaluate("location.hash")
    opened.click("#answers")
    assert opened.evaluate("document.querySelectorAll('article.open').length") == 0


def test_answer_outlines_the_structures_of_a_clean_image(opened):
    opened.click("#answers")
    opened.wait_for("document.querySelectorAll('article svg').length === 4")
    assert opened.evaluate(
        "[...document.querySelectorAll('article')].every((card) => !!card.querySelector('svg')"
        " === ['none', 'text_box'].includes(data.items.find((item) => card.id === `example-${item.id}`).prompt))"
    )
    first = opened.evaluate(
        "['x', 'y', 'width', 'height', 'stroke'].map((name) => document.querySelector('svg rect').getAttribute(name))"
    )
    assert first == ["4", "8", "16", "22", f"rgb({','.join(map(str, MARKER_COLOURS['A']))})"]
    # The outline lies on the image, pixel for pixel.
    places = opened.evaluate(
        "[document.querySelector('svg'), document.querySelector('svg').parentElement.querySelector('img')]"
        ".map((part) => { const box = part.getBoundingClientRect(); return [box.x, box.y, box.width, box.height]; })"
    )
    assert places[0] == pytest.approx(places[1], abs=1)


PLACE = {"options": [], "answer_index": -1, "answer_type": "box", "answer": "[4, 8, 20, 30]"}
THREE = [{"bytes": png(s), "path": None} for s in (90, 91, 92)]


def test_the_answer_to_a_question_for_a_place_is_drawn_in_the_image_that_it_is_in(browser, tmp_path):
    """Also over an image with markers, which show what it is told from: A is the structure after it there."""
    rows = [
        row(1, prompt="none", structures=["liver"], boxes=[[4, 8, 20, 30]], points=[[12, 16]], box_images=[0], **PLACE),
        row(2, prompt="box", box_images=[0, 0], **PLACE),
        row(3, prompt="text_box", box_images=[0, 0], **PLACE),
        row(
            4,
            input="stack",
            prompt="none",
            images=THREE,
            structures=["liver"],
            boxes=[[4, 8, 20, 30]],
            points=[[12, 16]],
            box_images=[1],
            answer_image=1,
            **PLACE,
        ),
        row(5, input="stack", prompt="none", images=THREE, box_images=[0, 2]),
        row(6, prompt="mask", **(PLACE | {"answer_type": "number", "answer": "52 mm", "value": 52.0, "unit": "mm"})),
        row(8, prompt="none", box_images=[0, 0], **PLACE),
        row(7, prompt="none", structures=[], boxes=[], points=[], **(PLACE | {"answer_type": "number"})),
    ]
    write_gallery(write(tmp_path / "ground", rows), tmp_path / "gallery.html", per_cell=10)
    browser.open(tmp_path / "gallery.html")
    browser.click("#answers")
    browser.wait_for("document.querySelectorAll('article svg').length === 7")
    drawn = browser.evaluate(
        "Object.fromEntries([...document.querySelectorAll('article')].map((card) => [card.id,"
        " [...card.querySelectorAll('img')].map((image) => image.nextSibling?.textContent ?? null)]))"
    )
    assert drawn == {
        "example-id0001": ["answer"],
        "example-id0002": ["answer"],
        "example-id0003": ["answerA"],
        "example-id0004": [None, "answer", None],
        "example-id0005": ["A", None, "B"],
        "example-id0006": [None],
        "example-id0007": [None],
        "example-id0008": ["answerother"],
    }
    browser.click("#answers")
    assert browser.evaluate("document.querySelectorAll('article svg').length") == 0


@pytest.mark.parametrize("factor", FILTERS)
def test_filter_by_each_factor(opened, factor):
    values = opened.evaluate(f"data.factors.{factor}")
    everything = opened.evaluate("data.items")
    for number, value in enumerate(values):
        box = f"#factors input[name={factor}]:nth-of-type(1)"
        count = opened.evaluate(
            f"document.querySelectorAll('#factors input[name={factor}]')[{number}].nextSibling.nextSibling.textContent"
        )
        click_nth = f"document.querySelectorAll('#factors input[name={factor}]')[{number}].click()"
        assert opened.evaluate(f"!!document.querySelector({json.dumps(box)})")
        opened.evaluate(click_nth)
        expected = [f"example-{item['id']}" for item in everything if item[factor] == value]
        assert shown(opened) == expected
        assert int(count) == len(expected) > 0
        opened.evaluate(click_nth)
    assert len(shown(opened)) == 9


def test_filters_join_and_count_each_other(opened):
    opened.click("#factors input[value=box]")
    opened.click("#factors input[value=none]")
    assert len(shown(opened)) == 5  # two values of one factor: either
    opened.click("#factors input[value=sagittal]")
    assert len(shown(opened)) == 1  # two factors: both
    counts = opened.evaluate("[...boxes.plane].map(([value, { count }]) => [value, Number(count.textContent)])")
    assert counts == [["axial", 2], ["coronal", 2], ["sagittal", 1]]
    assert opened.evaluate("document.getElementById('count').textContent") == "1 of 9 examples"
    opened.click("#factors input[value=mri]")
    assert shown(opened) == []
    assert opened.evaluate("document.getElementById('empty').checkVisibility()")
    opened.click("#clear")
    assert len(shown(opened)) == 9


def test_search_finds_words_in_any_order(opened):
    opened.evaluate("byId('search').value = 'KIDNEY which'; byId('search').dispatchEvent(new Event('input'))")
    assert len(shown(opened)) == 2
    opened.evaluate("byId('search').value = 'id0062'; byId('search').dispatchEvent(new Event('input'))")
    assert shown(opened) == ["example-id0062"]


def test_filters_stand_in_the_address(opened, page):
    opened.click("#factors input[value=box]")
    opened.click("#factors input[value=sagittal]")
    opened.evaluate("byId('search').value = 'question 62'; byId('search').dispatchEvent(new Event('input'))")
    fragment = opened.evaluate("location.hash").removeprefix("#")
    assert fragment == "plane=sagittal&prompt=box&q=question+62"
    opened.requests.clear()
    opened.open(page, fragment)
    opened.requests[:] = [each.split("#")[0] for each in opened.requests if each.startswith("file")]
    assert shown(opened) == ["example-id0062"]
    assert opened.evaluate("byId('search').value") == "question 62"
    assert opened.evaluate("boxes.prompt.get('box').box.checked && !boxes.prompt.get('mask').box.checked")
    opened.evaluate("location.hash = '#source=my+clinic&source=nowhere&nonsense=1'")
    opened.wait_for("document.getElementById('count').textContent === '2 of 9 examples'")


def test_hostile_text_is_shown_as_text(opened):
    opened.click("#answers")
    texts = opened.evaluate(
        "[...document.querySelectorAll('#example-id0060 .question, #example-id0060 .options li, dd')]"
        ".map((part) => part.textContent)"
    )
    assert texts.count(HOSTILE) >= 3
    assert opened.evaluate("document.querySelectorAll('main script, main img[src=x]').length") == 0
    assert opened.evaluate("document.querySelector('h1').textContent") == "mis-ground <b>"
    assert opened.evaluate("document.title") == "mis-ground <b>: examples"


def test_nothing_but_the_pages_own_script_may_run(browser, page, tmp_path):
    text = page.read_text(encoding="utf-8")
    other = tmp_path / "injected.html"
    other.write_text(text.replace("</body>", "<script>window.hacked = 1</script></body>"), encoding="utf-8")
    browser.open(other)
    assert browser.evaluate("window.hacked") is None
    assert len(shown(browser)) == 9


def test_images_enlarge(opened):
    opened.click("article .image")
    assert opened.evaluate("byId('large').open")
    opened.wait_for("byId('enlarged').naturalWidth === 64 && byId('enlarged').width > 300")
    opened.click("#close")
    assert not opened.evaluate("byId('large').open")


def test_keys_alone_are_enough(opened):
    opened.press("/", code="Slash", text="/")
    assert opened.evaluate("document.activeElement.id") == "search"
    assert opened.evaluate("byId('search').value") == ""
    reached = opened.tab_to("reveal", 60)
    assert {"answers", "clear", "modality", "source", "image", "reveal"} <= reached
    opened.press("Enter", text="\r")
    assert opened.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"


@pytest.mark.parametrize("width", [360, 800, 1600])
def test_page_fits_any_width(opened, width):
    opened.send("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
    opened.click("#answers")
    try:
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
        assert opened.evaluate("document.querySelector('article').getBoundingClientRect().width") >= 300
    finally:
        opened.send("Emulation.clearDeviceMetricsOverride")


def contrast(browser, selector):
    """Contrast ratio of an element's text on the page's or its card's background."""
    colours = browser.evaluate(
        f"""(() => {{
        let element = document.querySelector({json.dumps(selector)});
        const text = getComputedStyle(element).color;
        while (getComputedStyle(element).backgroundColor === 'rgba(0, 0, 0, 0)') element = element.parentElement;
        return [text, getComputedStyle(element).backgroundColor];
        }})()"""
    )
    luminance = []
    for colour in colours:
        linear = np.array([int(part) for part in re.findall(r"\d+", colour)[:3]]) / 255
        linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
        luminance.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(luminance) + 0.05) / (min(luminance) + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark(opened, scheme):
    opened.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    opened.click("#answers")
    background = opened.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", background)[0]) > 128) == (scheme == "light")
    for selector in (".question", ".chips li", ".options li.right", "dt", "dd", "legend", "#count", "#about", "output"):
        assert contrast(opened, selector) >= 4.5, selector
