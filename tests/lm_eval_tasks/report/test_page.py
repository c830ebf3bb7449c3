"""The report's page in a real browser: numbers, filters, images, answers, links; and what it does with many items."""

import hashlib
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_builder.core.errors import BuildError, DatasetNotFoundError
from dataset_builder.files.own_files import add_to_list
from dataset_builder.pictures.render import encode_png
from lm_eval_tasks.report import images as images_module
from lm_eval_tasks.report.contents import contents
from lm_eval_tasks.report.formats import per_cent
from lm_eval_tasks.report.images import Images
from lm_eval_tasks.report.page import make_page
from lm_eval_tasks.report.runs import Answer, Reading, Run, read_runs
from lm_eval_tasks.report.write import write_report
from tests.helpers.browser import Browser
from tests.helpers.harness_files import factorial_rows, luck, row, write_run

HOSTILE = (
    "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> <!-- \u2028 {{data}} &amp; <b>"
)
ROWS = factorial_rows(volumes=4, facts=2, prior=True)
STACK = row("stack", 0, input="stack", terminology="relational", relation="larger", prompt="none", box_images=[0, 2])
HOSTILE_ROW = row(
    "hostile", 0, subject=HOSTILE, structures=[HOSTILE, "spleen"], question=f"{HOSTILE}\nOptions: right; left"
)
EVERY = [*ROWS, STACK, HOSTILE_ROW]


def png(identity, size=64):
    seed = int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16)
    return encode_png(np.random.default_rng(seed).integers(0, 255, (size, size), dtype=np.uint8))


def encoded(each):
    """An image of each fact, and three of the stack."""
    return [png(f"{each['fact_id']}-{n}") for n in range(3 if each["input"] == "stack" else 1)]


def write_images(folder, rows):
    path = folder / "data" / "ct_coronal" / "some.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    images = [[{"bytes": image, "path": None} for image in encoded(each)] for each in rows]
    pq.write_table(pa.table({"id": [each["id"] for each in rows], "images": images}), path)
    return folder


def hashes(each):
    return [hashlib.sha256(image).hexdigest() for image in encoded(each)]


def noisy(each):
    if each["id"] == HOSTILE_ROW["id"] or luck("silent", each["id"]) < 0.05:
        return HOSTILE
    return each["answer"] if luck(each["id"]) < 0.5 else f"It is {each['options'][1 - min(1, each['answer_index'])]}."


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_images(folder / "ground", EVERY)
    write_run(folder / "a", EVERY, noisy, images=hashes)
    write_run(
        folder / "b", EVERY, lambda each: each["answer"], model_args={"pretrained": f"x/{HOSTILE}"}, images=hashes
    )
    write_run(folder / "c", ROWS[:100], lambda each: each["options"][0], blind=True)
    return folder


@pytest.fixture(scope="module")
def places(folder):
    return [str(folder / "a"), f"other <i>={folder / 'b'}", str(folder / "c")]


@pytest.fixture(scope="module")
def report(folder, places):
    return write_report(places, folder / "report", folder / "ground")


@pytest.fixture(scope="module")
def reading(places):
    return read_runs(places)


@pytest.fixture(scope="module")
def page(folder, report):
    return folder / "report" / "index.html"


@pytest.fixture(scope="module")
def browser():
    with Browser() as browser:
        yield browser


@pytest.fixture
def opened(browser, page):
    browser.messages.clear()
    browser.requests.clear()
    browser.open(page)
    yield browser
    assert browser.messages == []
    assert {request.split("#")[0] for request in browser.requests} == {page.resolve().as_uri()}
    assert browser.evaluate("window.hacked") is None


def count(browser):
    return int(browser.evaluate("byId('count').textContent").split(" of ")[0].replace(",", ""))


def shown(browser):
    return browser.evaluate("shown.map((i) => data.ids[i])")


def click(browser, selector):
    browser.evaluate(f"document.querySelector({json.dumps(selector)}).click()")


def tick(browser, name, value):
    browser.evaluate(f"filters.boxes[{json.dumps(name)}].get({json.dumps(value)}).box.click()")


def open_at(browser, page, fragment):
    browser.requests.clear()
    browser.open(page, fragment)


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_headline_is_that_of_the_report(opened, report):
    cards = opened.evaluate("[...document.querySelectorAll('.score')].map((card) => card.innerText)")
    assert len(cards) == 3
    for card, run in zip(cards, report["runs"], strict=True):
        score = run["scores"][0]
        assert run["name"] in card
        assert f"{100 * score['accuracy']['value']:.1f} %" in card
        assert per_cent(score["pair_accuracy"]) in card
    assert f"gain over {report['runs'][2]['name']}" in cards[0]
    assert "followed the prior against the image" in cards[0]


def test_plots_have_a_row_for_every_value_and_a_point_where_it_belongs(opened, report):
    table = (
        "[...document.querySelectorAll('#factors .plot')].find((t) => t.caption.textContent.includes('by register'))"
    )
    rows = opened.evaluate(
        f"[...{table}.tBodies[0].rows].map((row) => [row.cells[0].textContent,"
        " [...row.cells[2].children].map((each) => each.textContent),"
        " [...row.querySelectorAll('.track use')].map((use) => parseFloat(use.getAttribute('x')))])"
    )
    assert [name for name, _, _ in rows] == ["clinical", "lay"]
    for name, numbers, points in rows:
        accuracies = [
            next(s["accuracy"] for s in run["scores"] if s["by"] == ["register"] and s["value"] == [name])
            for run in report["runs"]
        ]
        assert numbers == [per_cent(accuracy) for accuracy in accuracies]
        assert points == pytest.approx([100 * accuracy["value"] for accuracy in accuracies], abs=0.006)
    # As drawn: the middle of the first point, as a share of the line.
    place = opened.evaluate(
        f"(() => {{ const track = {table}.querySelector('.track svg'); const point = track.querySelector('use');"
        " const [a, b] = [track.getBoundingClientRect(), point.getBoundingClientRect()];"
        " return (b.x + b.width / 2 - a.x) / a.width; })()"
    )
    assert place == pytest.approx(rows[0][2][0] / 100, abs=0.02)


def test_every_part_is_there(opened, report):
    for part in ("scores", "factors", "effects", "comparisons", "confusions", "structures", "questions", "settings"):
        assert opened.evaluate(f"byId('{part}').checkVisibility()"), part
        assert opened.evaluate(f"!!document.querySelector('nav a[href=\"#{part}\"]')"), part
    text = opened.evaluate("byId('confusions').innerText")
    terms = report["runs"][0]["confusions"]["terms"]["superior"]
    share = f"{100 * terms['superior'] / sum(terms.values()):.0f}"
    assert re.search(rf"superior\s+{share}\s", text)
    compared = opened.evaluate("byId('comparisons').textContent")
    assert "P-values are by volume" in compared
    assert "McNemar" not in compared  # of several volumes
    assert "0.4.13" in opened.evaluate("byId('settings').textContent")


def test_parts_without_numbers_are_not_shown(browser, tmp_path, folder):
    write_run(tmp_path / "one", [STACK], lambda each: each["answer"], images=hashes)
    write_report([str(tmp_path / "one")], tmp_path / "report", folder / "ground")
    browser.open(tmp_path / "report" / "index.html")
    for part in ("effects", "comparisons", "structures"):
        assert not browser.evaluate(f"byId('{part}').checkVisibility()"), part
        assert not browser.evaluate(f"document.querySelector('nav a[href=\"#{part}\"]').checkVisibility()"), part
    assert not browser.evaluate("byId('others').checkVisibility()")


def test_numbers_of_few_volumes_are_grey_and_named_and_none_is_cut(browser, tmp_path, folder):
    rows = [each for each in EVERY if each["input"] == "slice"]
    rows += [
        each | {"id": f"{each['id']}-once", "structures": ["pancreas"]} for each in rows if each["subject"] == "s0"
    ]
    few = [each for each in rows if each["subject"] in ("s0", "s1", "s2")]
    for name in "ab":
        write_run(tmp_path / name, few, noisy, model_args={"pretrained": name}, images=hashes)
    report = write_report([str(tmp_path / name) for name in "ab"], tmp_path / "report", folder / "ground")
    assert {effect["volumes"] for effect in report["runs"][0]["effects"]} == {3}
    browser.open(tmp_path / "report" / "index.html")
    browser.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    for width in (1280, 390):
        browser.send("Emulation.setDeviceMetricsOverride", width=width, height=800, deviceScaleFactor=1, mobile=False)
        cut = "[...document.querySelectorAll('.numbers div')].filter((each) => each.scrollWidth > each.clientWidth + 1)"
        assert browser.evaluate(f"{cut}.map((each) => each.textContent)") == []
    browser.send("Emulation.clearDeviceMetricsOverride")
    colours = "[...document.querySelectorAll('SELECTOR')].map((each) => getComputedStyle(each).color)"
    (grey,) = set(browser.evaluate(colours.replace("SELECTOR", "#effects caption")))
    for selector in ("#effects .numbers div", "#effects .track g"):
        assert set(browser.evaluate(colours.replace("SELECTOR", selector))) == {grey}
    sizes = browser.evaluate("[...document.querySelectorAll('#effects td.size')].map((each) => each.textContent)")
    assert sizes
    assert all(size.endswith(" of 3 volumes") for size in sizes)
    assert "3 volumes only" in browser.evaluate("document.querySelector('.warnings').textContent")
    worst = browser.evaluate("[...document.querySelectorAll('#structures tbody th')].map((each) => each.textContent)")
    assert "liver" in worst
    assert "pancreas" not in worst  # of one volume


def test_a_value_in_a_plot_leads_to_its_questions(opened, reading):
    opened.evaluate(
        "[...document.querySelectorAll('#factors .plot th a')].find((a) => a.textContent === 'lay').click()"
    )
    opened.wait_for("filters.chosen.register.has('lay')")
    assert set(shown(opened)) == {i for i, q in reading.questions.items() if q["register"] == "lay"}


# --- the questions ---------------------------------------------------------------------------------------------------


def test_columns_are_put_together_again(opened, reading):
    found = opened.evaluate(
        "numbers.map((i) => ({ id: data.ids[i], question: question(i), options: cell('options', i), said: said(0, i),"
        " reply: decode(data.runs[0].replies, i), outcome: outcome(0, i), boxes: cell('boxes', i),"
        " margin: cell('margin_mm', i), prior: cell('prior_answer', i) ?? null }))"
    )
    assert len(found) == len(reading.questions)
    for item in found:
        question, answer = reading.questions[item["id"]], reading.runs[0].answers[item["id"]]
        assert item["question"] == question["question"]
        assert item["options"] == question["options"]
        assert item["boxes"] == question["boxes"]
        assert item["margin"] == question["margin_mm"]
        assert item["prior"] == question.get("prior_answer")
        assert (item["said"], item["reply"]) == (answer.said, answer.reply)
        expected = "right" if answer.right else "no answer" if answer.said is None else "wrong"
        assert item["outcome"] == expected


def test_at_first_what_went_wrong_is_shown(opened, reading):
    wrong = {identity for identity, answer in reading.runs[0].answers.items() if not answer.right}
    assert set(shown(opened)) == wrong
    assert count(opened) == len(wrong)
    click(opened, "#clear")
    assert count(opened) == len(EVERY)


def expected_value(name, question, answer):
    if name == "outcome":
        return ["right" if answer.right else "no answer" if answer.said is None else "wrong"]
    if name == "prior":
        prior = question.get("prior_answer")
        if not prior:
            return [""]
        if prior == question["answer"]:
            return ["agrees with the image"]
        return ["followed against the image" if answer.said == prior else "resisted"]
    if name == "structure":
        return question["structures"]
    if name == "margin_mm":
        margin = question["margin_mm"]
        return ["below 8" if margin < 8 else "8-15" if margin < 15 else "15-30" if margin < 30 else "30-60"]
    return [question[name]]


def test_filter_by_each_factor(opened, reading):
    click(opened, "#clear")
    names = opened.evaluate("filters.names")
    assert {"outcome", "prior", "terminology", "prompt", "register", "relation", "structure", "margin_mm"} < set(names)
    for name in names:
        if name == "change":
            continue
        for value in opened.evaluate(f"[...filters.boxes[{json.dumps(name)}].keys()]"):
            expected = {
                identity
                for identity, answer in reading.runs[0].answers.items()
                if value in expected_value(name, reading.questions[identity], answer)
            }
            counted = opened.evaluate(
                f"Number(filters.boxes[{json.dumps(name)}].get({json.dumps(value)}).count.textContent)"
            )
            tick(opened, name, value)
            assert set(shown(opened)) == expected, (name, value)
            assert counted == len(expected) == count(opened)
            tick(opened, name, value)


def test_another_run_and_what_two_runs_do_differently(opened, reading):
    click(opened, "#clear")
    choose = "byId('{}').value = '{}'; byId('{}').dispatchEvent(new Event('change'))"
    assert not opened.evaluate("document.querySelector('input[name=change]').closest('fieldset').checkVisibility()")
    opened.evaluate(choose.format("other", 1, "other"))
    tick(opened, "change", "only the other right")
    one, other = reading.runs[:2]
    assert set(shown(opened)) == {i for i in one.answers if not one.answers[i].right and other.answers[i].right}
    assert "other=other" in opened.evaluate("location.hash")
    opened.evaluate(choose.format("other", -1, "other"))
    assert count(opened) == len(EVERY)
    opened.evaluate(choose.format("run", 2, "run"))
    assert set(shown(opened)) == set(reading.runs[2].answers)


def test_search_looks_at_questions_answers_and_ids(opened):
    click(opened, "#clear")
    opened.evaluate("byId('search').value = 'V1F0 where'; byId('search').dispatchEvent(new Event('input'))")
    assert count(opened) == sum("v1f0" in each["id"] for each in ROWS)
    opened.evaluate("byId('search').value = 'nothing has this'; byId('search').dispatchEvent(new Event('input'))")
    assert count(opened) == 0
    assert opened.evaluate("byId('empty').checkVisibility() && !list.checkVisibility()")


def test_hostile_text_is_shown_as_text(opened):
    click(opened, "#clear")
    opened.evaluate("byId('search').value = 'hostile-0'; byId('search').dispatchEvent(new Event('input'))")
    click(opened, "#list .item")
    text = opened.evaluate("byId('detail-body').textContent")
    assert text.count(HOSTILE) >= 3  # question, reply, subject
    assert opened.evaluate("document.querySelectorAll('main script, dialog script, img[src=x]').length") == 0
    assert "other <i>" in opened.evaluate("document.querySelector('.scores').textContent")
    assert opened.evaluate("document.querySelectorAll('.scores i').length") == 0


def test_a_question_shows_image_answers_and_outlines(opened, page, reading):
    identity = next(e["id"] for e in ROWS if e["prompt"] == "none" and not reading.runs[0].answers[e["id"]].right)
    question = reading.questions[identity]
    open_at(opened, page, f"item={identity}")
    assert opened.evaluate("byId('detail').open")
    # Only what the model saw, until more is asked for.
    opened.wait_for("document.querySelector('#detail-body img').naturalWidth > 0")
    assert opened.evaluate("document.querySelectorAll('#detail-body svg').length") == 0
    reveal(opened, True)
    opened.wait_for("!!document.querySelector('#detail-body svg rect')")
    assert opened.evaluate("document.querySelector('#detail-body img').naturalWidth") == 64
    assert opened.evaluate("document.querySelector('#detail-body img').alt").startswith("coronal CT slice")
    box = opened.evaluate(
        "['x', 'y', 'width', 'height'].map((n) => Number(document.querySelector('#detail-body rect').getAttribute(n)))"
    )
    assert box == [4, 8, 16, 22]
    options = opened.evaluate("[...document.querySelectorAll('#detail-body .options li')].map((li) => li.textContent)")
    right = next(option for option in options if option.startswith(question["answer"]))
    assert "right answer" in right
    said = reading.runs[0].answers[identity].said
    assert any("said by some-model" in option for option in options if said and option.startswith(said))
    assert any("anatomy alone" in option for option in options if option.startswith(question["prior_answer"]))
    replies = opened.evaluate("[...document.querySelectorAll('#detail-body .reply')].map((part) => part.textContent)")
    assert replies[:2] == [run.answers[identity].reply for run in reading.runs[:2]]
    variants = opened.evaluate("document.querySelectorAll('.variants li').length")
    assert variants == sum(q["fact_id"] == question["fact_id"] for q in reading.questions.values())
    assert question["subject"] in opened.evaluate("document.querySelector('#detail-body dl').textContent")
    click(opened, "#close")
    opened.wait_for("!location.hash.includes('item')")


def reveal(browser, wanted):
    """Set the switch that draws what the model did not see."""
    browser.evaluate(
        f"byId('reveal').checked = {str(wanted).lower()}; byId('reveal').dispatchEvent(new Event('change'))"
    )


def test_what_was_drawn_for_the_model_has_no_switch(opened, page):
    """Its markers are in the image itself."""
    identity = next(each["id"] for each in ROWS if each["prompt"] == "box")
    open_at(opened, page, f"item={identity}")
    assert not opened.evaluate("byId('reveal-row').checkVisibility()")
    identity = next(each["id"] for each in ROWS if each["prompt"] == "none")
    open_at(opened, page, f"item={identity}")
    assert opened.evaluate("byId('reveal-row').checkVisibility() && !byId('reveal').checked")


def test_a_stack_shows_all_its_images(opened, page):
    open_at(opened, page, f"item={STACK['id']}")
    opened.wait_for("[...document.querySelectorAll('#detail-body img')].every((image) => image.naturalWidth)")
    alternatives = opened.evaluate("[...document.querySelectorAll('#detail-body img')].map((image) => image.alt)")
    assert len(alternatives) == 3
    assert "image 3 of 3" in alternatives[2]
    assert opened.evaluate("document.querySelectorAll('#detail-body svg').length") == 0
    reveal(opened, True)
    # Each structure is outlined in the image that it is in.
    opened.wait_for("document.querySelectorAll('#detail-body svg').length === 3")
    letters = opened.evaluate("[...document.querySelectorAll('#detail-body svg')].map((svg) => svg.textContent)")
    assert letters == ["A", "", "B"]


def test_a_link_brings_the_view_back(opened, page):
    click(opened, "#clear")
    opened.evaluate("byId('other').value = '1'; byId('other').dispatchEvent(new Event('change'))")
    tick(opened, "register", "lay")
    tick(opened, "change", "only the other right")
    before = shown(opened)
    click(opened, "#list .item")
    fragment = opened.evaluate("location.hash").removeprefix("#")
    title = opened.evaluate("byId('detail-title').textContent")
    open_at(opened, page, fragment)
    assert shown(opened) == before
    assert opened.evaluate("byId('detail').open && byId('detail-title').textContent") == title
    open_at(opened, page, "effects")  # a part of the page is no view of the questions
    assert opened.evaluate("!byId('detail').open && filters.chosen.outcome.size") == 2


def test_other_ways_of_asking_are_links(opened, page):
    open_at(opened, page, f"item={ROWS[0]['id']}")
    target = opened.evaluate("document.querySelector('.variants a:not([aria-current])').hash")
    click(opened, ".variants a:not([aria-current])")
    opened.wait_for(f"location.hash === {json.dumps(target)}")
    assert opened.evaluate("byId('detail-title').textContent").endswith(re.search(r"item=([^&]+)", target)[1])


def test_keys_alone_are_enough(opened):
    opened.press("/", code="Slash", text="/")
    assert opened.evaluate("document.activeElement.id") == "search"
    reached = set()
    for _ in range(80):
        opened.press("Tab")
        reached.add(
            opened.evaluate(
                "document.activeElement.className || document.activeElement.id || document.activeElement.name"
            )
        )
        if "item" in reached:
            break
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


# --- images --------------------------------------------------------------------------------------------------------


def test_many_images_lie_beside_the_page_made_small(browser, places, folder, tmp_path, monkeypatch, reading):
    monkeypatch.setattr(images_module, "EMBEDDED_BYTES", 10_000)
    monkeypatch.setattr(images_module, "THUMBNAIL", 32)
    stale = tmp_path / "report" / "images" / "0123456789abcdef0123.webp"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"of an earlier report")
    add_to_list(tmp_path / "report", ["images/0123456789abcdef0123.webp"])
    (tmp_path / "report" / "images" / "mine.webp").write_bytes(b"mine")
    (tmp_path / "report" / "cards").mkdir()
    (tmp_path / "report" / "cards" / "mine.md").write_text("mine")
    write_report(places, tmp_path / "report", folder / "ground")
    assert (tmp_path / "report" / "cards" / "mine.md").read_text() == "mine"
    files = [path for path in (tmp_path / "report" / "images").iterdir() if path.name != "mine.webp"]
    assert len(files) == len({name for each in EVERY for name in hashes(each)})
    assert not stale.exists()
    text = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert "data:image" not in text
    browser.messages.clear()
    browser.requests.clear()
    identity = next(each["id"] for each in ROWS if each["prompt"] == "none")
    browser.open(tmp_path / "report" / "index.html", f"item={identity}")
    reveal(browser, True)
    browser.wait_for("!!document.querySelector('#detail-body svg rect')")
    assert browser.evaluate("document.querySelector('#detail-body img').naturalWidth") == 32
    # Outlines are in pixels of the stored image.
    assert browser.evaluate("document.querySelector('#detail-body svg').getAttribute('viewBox')") == "0 0 64 64"
    assert browser.messages == []
    loaded = [request for request in browser.requests if "/images/" in request]
    assert 0 < len(loaded) < len(files)  # those in sight only


def test_images_that_the_model_was_not_shown_are_left_out(folder, places, tmp_path):
    write_images(tmp_path / "ground", [each | {"fact_id": "other"} for each in EVERY[:10]] + EVERY[10:30])
    reading = read_runs(places)
    found = images_module.gather(reading, tmp_path / "ground", tmp_path)
    assert set(found.of) == {each["id"] for each in EVERY[10:30]}
    assert any("10 question(s) have another image" in warning for warning in found.warnings)
    assert any(f"{len(EVERY) - 30} question(s) are not in" in warning for warning in found.warnings)


def test_images_are_looked_for_where_the_tasks_look(folder, places, tmp_path, monkeypatch):
    reading = read_runs(places)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MIS_GROUND_DATASET", raising=False)
    nothing = images_module.gather(reading, None, tmp_path)
    assert nothing.of == {}
    assert "--dataset" in nothing.warnings[0]
    monkeypatch.setenv("MIS_GROUND_DATASET", str(folder / "ground"))
    assert len(images_module.gather(reading, None, tmp_path).of) == len(EVERY)
    monkeypatch.setenv("MIS_GROUND_DATASET", "/not/there")
    assert images_module.gather(reading, None, tmp_path).of == {}
    reading.runs[0] = Run("x", "pictures", "x", {}, {}, reading.runs[0].answers, dataset=str(folder / "ground"))
    assert len(images_module.gather(reading, None, tmp_path).of) == len(EVERY)


def test_a_data_set_that_is_not_there_or_damaged_is_told(reading, tmp_path):
    with pytest.raises(DatasetNotFoundError, match="not a MIS-Ground data set"):
        images_module.gather(reading, tmp_path / "nothing", tmp_path)
    path = tmp_path / "ground" / "data" / "x.parquet"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PAR1 no")
    with pytest.raises(BuildError, match=r"cannot be read.*x\.parquet"):
        images_module.gather(reading, tmp_path / "ground", tmp_path)


# --- many items ------------------------------------------------------------------------------------------------------


def test_thirty_four_thousand_questions_stay_usable(browser, tmp_path):
    few = factorial_rows(volumes=20, facts=3, prior=True)
    copies = 34_000 // len(few) + 1
    questions = {}
    for number in range(copies):
        for each in few:
            identity = f"{each['id']}-{number}"
            questions[identity] = each | {"id": identity, "fact_id": f"{each['fact_id']}-{number}", "image_hashes": []}
    assert len(questions) >= 34_000
    answers = {i: Answer("Left.", None, luck(i) < 0.4) for i in questions}
    few_reading = Reading([Run("m", "pictures", "m", {}, {}, {each["id"]: Answer("", None, True) for each in few})])
    few_reading.questions = {each["id"]: each | {"image_hashes": []} for each in few}
    reading = Reading([Run("m", "pictures", "m", {}, {}, answers)], questions)
    page = tmp_path / "index.html"
    text = make_page(contents(few_reading), reading, Images())
    assert len(text) < 8_000_000
    page.write_text(text, encoding="utf-8")
    browser.messages.clear()
    browser.open(page)
    click(browser, "#clear")
    assert count(browser) == len(questions)
    rows = "document.querySelectorAll('#list [role=listitem]').length"
    assert 4 < browser.evaluate(rows) < 30
    browser.evaluate("list.scrollTop = list.scrollHeight")
    browser.wait_for(f"!!document.querySelector('#list [aria-posinset=\"{len(questions)}\"]')")
    assert browser.evaluate(rows) < 30
    last = browser.evaluate(
        f"rows.get({len(questions) - 1}).getBoundingClientRect().bottom <= list.getBoundingClientRect().bottom + 1"
    )
    assert last
    tick(browser, "register", "lay")
    assert count(browser) == sum(each["register"] == "lay" for each in questions.values())
    assert browser.evaluate("list.scrollTop") == 0
    assert browser.messages == []
