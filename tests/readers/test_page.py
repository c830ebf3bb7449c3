"""The reader's page in a real browser: what is seen is what the model saw, and nothing tells the answer."""

import hashlib
import json
import shutil
from itertools import pairwise

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from dataset_builder.core.errors import BuildError, DatasetNotFoundError
from dataset_builder.readers.answers import item_id, read_answers
from dataset_builder.readers.page import write_reader_page
from lm_eval_tasks.report.write import write_report
from tests.helpers.reader_page import begin, choose, export, page_data, pixels, wait_for_image

GIVEN = {"id", "question", "options", "answer_type", "unit", "modality", "plane", "size", "images"}
HASHES = {"question_sha256", "image_sha256"}


@pytest.fixture(scope="module")
def by_item(rows):
    return {item_id(identity): row for identity, row in rows.items()}


@pytest.fixture(scope="module")
def opened(browser, whole_page):
    browser.open(whole_page.out)
    begin(browser, "Reader one")
    return browser


def decoded(image):
    found = cv2.imdecode(np.frombuffer(image["bytes"], np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(found, cv2.COLOR_BGR2RGB)


def test_nothing_on_the_page_tells_the_answer(whole_page, by_item, rows):
    text = whole_page.out.read_text(encoding="utf-8")
    items = page_data(whole_page.out)["items"]
    assert len(items) == 90
    for item in items:
        row = by_item[item["id"]]
        assert set(item) == GIVEN | HASHES
        assert item["options"] == row["options"]
        assert item["question"] + "\n" * bool(row["options"]) in row["question"] + "\n" * (not row["options"])
        assert item["question_sha256"] == hashlib.sha256(row["question"].encode()).hexdigest()
    # The id of a question says which one of its pair it is, and so, for some, the answer.
    assert not [identity for identity in rows if identity in text]
    assert not [row["pair_id"] for row in rows.values() if row["pair_id"] and row["pair_id"] in text]
    assert "Content-Security-Policy" in text
    assert "connect-src" not in text  # default-src 'none' holds: nothing can be sent


def test_pairs_are_whole_and_facts_do_not_follow_each_other(whole_page, by_item):
    asked = [by_item[item["id"]] for item in page_data(whole_page.out)["items"]]
    pairs = [row["pair_id"] for row in asked if row["pair_id"]]
    assert all(pairs.count(pair) == 2 for pair in pairs)
    assert not [one for one, other in pairwise(asked) if one["fact_id"] == other["fact_id"]]


def test_every_image_is_what_the_model_saw(opened, whole_page, by_item):
    """Slices of the store, placed and windowed by the browser, against the row's own PNG, of every kind."""
    seen = set()
    for number, item in enumerate(page_data(whole_page.out)["items"]):
        row = by_item[item["id"]]
        kind = (row["convention"], row["view"], row["input"], row["plane"], row["prompt"], row["answer_type"])
        if kind in seen:
            continue
        seen.add(kind)
        opened.evaluate(f"ask({number})")
        wait_for_image(opened)
        for position, image in enumerate(row["images"]):
            opened.evaluate(f"viewer.go({position})")
            shown, expected = pixels(opened, item["size"]).astype(int), decoded(image).astype(int)
            off = np.abs(shown - expected).mean()
            assert off < 2.5, (kind, off)
            turned = [expected[:, ::-1], expected[::-1], expected[::-1, ::-1], *(np.rot90(expected, k) for k in (1, 3))]
            if expected.any():
                assert off < 0.5 * min(np.abs(shown - other).mean() for other in turned), kind
        # What earlier questions showed is let go.
        held = opened.evaluate(
            "items.filter((item) => item.images.some((image) => image.values || image.drawn)).length"
        )
        assert held == 1
    values = [{kind[place] for kind in seen} for place in range(6)]
    assert {"plain", "mirrored", "rotated90", "rotated180", "occluded"} <= values[1]
    assert values[2] == {"slice", "stack", "blank"}
    assert values[5] == {"choice", "point", "box", "number"}
    assert opened.messages == []


def test_slices_are_in_full_resolution_and_blank_canvases_show_nothing(whole_page, by_item):
    for item in page_data(whole_page.out)["items"]:
        row = by_item[item["id"]]
        blank = row["input"] == "blank" or row["view"] == "occluded"  # the slice shows what is hidden
        assert all(("slice" in image) != blank for image in item["images"])


def test_values_of_the_slice_are_exact(opened, ground, whole_page):
    """The browser's own 8 bits would not do: another window shows other tissue."""
    from dataset_builder.slices.selection import records_of

    number = next(n for n, item in enumerate(page_data(whole_page.out)["items"]) if "slice" in item["images"][0])
    opened.evaluate(f"ask({number})")
    wait_for_image(opened)
    found = opened.evaluate("({ width: viewer.shown.values.width, values: [...viewer.shown.values.values] })")
    held = np.array(found["values"], np.float32).reshape(-1, found["width"])
    stored = records_of(pq.read_table(ground / "slices" / "test.parquet"))
    assert any(np.array_equal(held, record.image.T.astype(np.float32)) for record in stored)
    before = pixels(opened, 128)
    opened.evaluate("viewer.setWindow(3000, 500)")
    assert np.abs(pixels(opened, 128).astype(int) - before).mean() > 5
    opened.evaluate("viewer.reset()")
    assert np.array_equal(pixels(opened, 128), before)


def test_zoom_keeps_the_place_under_the_pointer_and_drags(opened):
    opened.evaluate("ask(items.findIndex((item) => item.images.length === 1 && item.answer_type === 'choice'))")
    wait_for_image(opened)
    box = opened.evaluate("(({ left, top, width }) => [left, top, width])(byId('canvas').getBoundingClientRect())")
    x, y = box[0] + box[2] * 0.25, box[1] + box[2] * 0.75
    place = f"viewer.place({{ clientX: {x}, clientY: {y} }})"
    before = opened.evaluate(place)
    opened.send("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=-300)
    opened.wait_for("viewer.zoom > 1.5")
    assert np.allclose(opened.evaluate(place), before, atol=1)
    opened.press("0", code="Digit0", text="0")
    assert opened.evaluate("viewer.zoom") == 1


def test_a_stack_scrolls_by_wheel_keys_and_touch(opened):
    opened.evaluate("ask(items.findIndex((item) => item.images.length === 4 && item.answer_type === 'choice'))")
    wait_for_image(opened)
    assert opened.evaluate("byId('stack-row').hidden") is False
    box = opened.evaluate("(({ left, top, width }) => [left, top, width])(byId('canvas').getBoundingClientRect())")
    x, y = box[0] + box[2] / 2, box[1] + box[2] / 2
    opened.send("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=120)
    opened.wait_for("viewer.position === 1")
    opened.press("ArrowDown")
    assert opened.evaluate("viewer.position") == 2
    opened.press("ArrowUp")
    assert opened.evaluate("byId('which').textContent").startswith("image 2 of 4")
    opened.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
    opened.send("Input.dispatchTouchEvent", type="touchMove", touchPoints=[{"x": x, "y": y + 60}])
    opened.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    opened.wait_for("viewer.position === 3")


@pytest.mark.parametrize("kind", ["point", "box"])
def test_places_are_drawn_on_the_image(opened, kind):
    opened.evaluate(f"ask(items.findIndex((item) => item.answer_type === '{kind}' && item.images.length === 1))")
    wait_for_image(opened)
    assert opened.evaluate("byId('next').disabled")
    box = opened.evaluate("(({ left, top, width }) => [left, top, width])(byId('canvas').getBoundingClientRect())")

    def at(x, y):
        return {"x": box[0] + box[2] * x / 128, "y": box[1] + box[2] * y / 128, "button": "left"}

    opened.send("Input.dispatchMouseEvent", type="mousePressed", clickCount=1, **at(20.4, 30.4))
    opened.send("Input.dispatchMouseEvent", type="mouseMoved", buttons=1, **at(60.4, 90.4))
    opened.send("Input.dispatchMouseEvent", type="mouseReleased", clickCount=1, **at(60.4, 90.4))
    wanted = [60, 90] if kind == "point" else [20, 30, 60, 90]
    assert opened.evaluate("state.answers[items[state.at].id].values") == wanted
    fields = "[...document.querySelectorAll('#fields input')]"
    assert opened.evaluate(f"{fields}.map((field) => Number(field.value))") == wanted
    # By keyboard, too.
    opened.evaluate(f"{fields}[0].value = '12'; {fields}[0].dispatchEvent(new Event('input'))")
    assert opened.evaluate("state.answers[items[state.at].id].values[0]") == 12


def test_a_reader_answers_leaves_comes_back_and_exports(browser, ground, by_item, twelve, small_model, tmp_path):
    """And the report shows them beside the small model, on the same questions."""
    page = twelve
    items = page_data(page.out)["items"]
    assert len(items) == 12
    browser.requests.clear()
    browser.open(page.out)
    begin(browser)
    for number, item in enumerate(items[:5]):
        assert browser.evaluate("byId('progress').textContent") == f"Question {number + 1} of 12"
        answer_as_told(browser, item, by_item[item["id"]], number)
    first_times = browser.evaluate("state.seconds")
    browser.open(page.out)  # leaves, and comes back
    assert "5 are answered" in browser.evaluate("byId('about').textContent")
    assert browser.evaluate("byId('go').textContent") == "Resume"
    begin(browser)
    assert browser.evaluate("byId('progress').textContent") == "Question 6 of 12"
    browser.evaluate("byId('back').click()")
    assert browser.evaluate("byId('next').disabled") is False  # it is answered
    browser.evaluate("byId('next').click()")
    for number, item in enumerate(items[5:], start=5):
        answer_as_told(browser, item, by_item[item["id"]], number)
    assert browser.evaluate("byId('end').checkVisibility()")
    path = export(browser, tmp_path)
    assert path.name == f"answers-dr-a-{page.page[:8]}.json"
    found = read_answers(path)
    assert json.loads(browser.evaluate("byId('text').value"))["answers"] == json.loads(path.read_text())["answers"]
    build = json.loads((ground / "build.json").read_text())
    assert (found.reader, found.page, found.content) == ("Dr. A", page.page, build["content"])
    assert found.version == build["builds"][0]["version"]
    assert list(found.items) == [item["id"] for item in items]
    assert len(found.answers) == 12
    for number, item in enumerate(items):
        one, row = found.answers[item["id"]], by_item[item["id"]]
        assert one.seconds > 0
        if number == 3:
            assert (one.answer, one.reason, one.remark) == (None, "ambiguous", "which of two?")
        elif row["answer_type"] == "choice":
            assert one.answer == row["answer"]
        assert one.complaint == {3: "cannot be answered", 4: "wrong"}.get(number, "")
    assert all(found.answers[identity].seconds >= seconds - 0.001 for identity, seconds in first_times.items())
    # Nothing but the page itself was asked for, and nothing went wrong.
    assert {request.partition(":")[0] for request in browser.requests} <= {"file", "about", "blob"}
    assert browser.messages == []

    report = write_report([str(small_model), str(path)], tmp_path / "report", ground)
    browser.open(tmp_path / "report" / "index.html")
    names = browser.evaluate("[...document.querySelectorAll('#scores .score h3')].map((one) => one.textContent)")
    assert names[:2] == ["mis-ground-small", "Dr. A"]
    choices = [item for item in items if by_item[item["id"]]["answer_type"] == "choice"]
    right = sum(found.answers[item["id"]].answer == by_item[item["id"]]["answer"] for item in choices)
    card = browser.evaluate("document.querySelectorAll('#scores .score')[1].innerText")
    assert f"{100 * right / len(choices):.1f} %" in card
    assert "Dr. A against mis-ground-small" in browser.evaluate("byId('comparisons').textContent")
    both = [item for item in choices if by_item[item["id"]]["input"] == "slice"]
    assert report["comparisons"][0]["overall"]["items"] == len(both) > 0


def answer_as_told(browser, item, row, number):
    """Right answers by mouse and by key; the fourth cannot be answered, the fifth is called wrong."""
    wait_for_image(browser)
    if number == 3:
        browser.press("u", code="KeyU", text="u")
        complain(browser, "ambiguous", "which of two?", "no-answer")
    elif item["answer_type"] != "choice":
        numbers = json.dumps(([row["value"]] if row["answer_type"] == "number" else row["boxes"][0])[:4])
        browser.evaluate(
            "[...document.querySelectorAll('#fields input')].forEach((field, n) => { field.value = "
            f"{numbers}[n]; field.dispatchEvent(new Event('input')); }})"
        )
    elif number % 2:
        key = str(row["answer_index"] + 1)
        browser.press(key, code=f"Digit{key}", text=key)
    else:
        choose(browser, row["answer"])
    if number == 4:
        browser.evaluate("byId('unanswerable').click()")
        complain(browser, "wrong marker", "", "wrong")
    if number % 2:
        browser.evaluate("document.activeElement.blur()")
        browser.press("Enter", text="\r")
    else:
        browser.evaluate("byId('next').click()")


def complain(browser, reason, remark, button):
    browser.evaluate(
        f"byId('reason').value = '{reason}'; byId('reason').dispatchEvent(new Event('change')); "
        f"byId('remark').value = '{remark}'; byId('{button}').click()"
    )


def test_another_page_begins_anew_and_answers_can_be_deleted(browser, ground, tmp_path):
    page = write_reader_page(ground, tmp_path / "other.html", 4, "", 8)
    browser.open(page.out)
    assert browser.evaluate("byId('go').textContent") == "Begin"
    browser.evaluate("byId('go').click()")
    assert browser.evaluate("byId('ask').hidden")  # without a name nobody begins
    begin(browser, "B")
    browser.press("1", code="Digit1", text="1")
    browser.evaluate("byId('pause').click()")
    browser.evaluate("byId('anew').click()")
    assert browser.evaluate("answered()") in (0, 1)
    browser.evaluate("byId('anew').click()")
    browser.open(page.out)
    assert browser.evaluate("byId('go').textContent") == "Begin"


def test_a_phone_shows_the_question_below_the_image(browser, whole_page):
    browser.send("Emulation.setDeviceMetricsOverride", width=375, height=740, deviceScaleFactor=2, mobile=True)
    try:
        browser.open(whole_page.out)
        begin(browser, "P")
        assert browser.evaluate("document.documentElement.scrollWidth") <= 375
        image, question = (
            browser.evaluate(f"(({{ top, bottom }}) => [top, bottom])(byId('{name}').getBoundingClientRect())")
            for name in ("canvas", "question")
        )
        assert image[1] <= question[0] < 740
        too_small = browser.evaluate(
            "[...document.querySelectorAll('#ask button')].filter((one) => one.checkVisibility() && "
            "one.getBoundingClientRect().height < 40).length"
        )
        assert too_small == 0
    finally:
        browser.send("Emulation.clearDeviceMetricsOverride")


def test_where_there_is_no_slice_store_the_image_itself_is_shown(ground, tmp_path):
    copy = tmp_path / "bare"
    shutil.copytree(ground, copy)
    store = copy / "slices" / "test.parquet"
    whole = pq.read_table(store)
    # Columns that came later are not needed; without the values' scale there is nothing to show.
    for dropped, held in ((["patient", "scan_sha256"], 10), (["slope"], 0)):
        pq.write_table(whole.drop_columns(dropped), store)
        assert write_reader_page(copy, tmp_path / "older.html", 10).full_resolution == held
    build = json.loads((copy / "build.json").read_text())
    build["builds"][0]["splits"].pop("slices/test")
    (copy / "build.json").write_text(json.dumps(build))
    page = write_reader_page(copy, tmp_path / "bare.html", 10)
    assert page.full_resolution == 0
    assert all("image" in image for item in page_data(page.out)["items"] for image in item["images"])


def test_what_cannot_be_is_refused(ground, tmp_path):
    with pytest.raises(DatasetNotFoundError):
        write_reader_page(tmp_path, tmp_path / "x.html")
    with pytest.raises(BuildError, match=r"no such input.*slices"):
        write_reader_page(ground, tmp_path / "x.html", inputs=("slices",))
    with pytest.raises(BuildError, match="No question"):
        write_reader_page(ground, tmp_path / "x.html", inputs=("stack",), views=("mirrored",))
    with pytest.raises(BuildError, match="two questions"):
        write_reader_page(ground, tmp_path / "x.html", items=1)
    (tmp_path / "mine.html").write_text("mine")
    with pytest.raises(BuildError, match="not a page of MIS-Ground"):
        write_reader_page(ground, tmp_path / "mine.html", items=4)
    assert (tmp_path / "mine.html").read_text() == "mine"
