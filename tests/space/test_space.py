"""The Space, started as the Hub starts it, and driven in a real Chromium."""

import json
import os
import socket
import subprocess
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dataset_builder.readers.answers import read_answers
from dataset_builder.readers.page import write_reader_page
from tests.helpers.browser import Browser
from tests.helpers.reader_page import begin, export
from tests.helpers.small_ground import CELLS, write_ground

ROOT = Path(__file__).parents[2]


class Model:
    """A server that speaks OpenAI's protocol and always answers the same."""

    def __init__(self, reply: str) -> None:
        self.asked: list[dict] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                model.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                message = {"role": "assistant", "content": reply}
                choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
                usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
                answer = {"id": "1", "created": 1, "model": "fake", "choices": choices, "usage": usage}
                answer |= {"object": "chat.completion", "system_fingerprint": ""}
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    return write_ground(tmp_path_factory.mktemp("space") / "mis-ground", CELLS, size=96)


@pytest.fixture(scope="module")
def reader(ground):
    """The page of `mis-ground read`, which the Space serves."""
    return write_reader_page(ground, ground.parent / "reader.html", 6)


@pytest.fixture(scope="module")
def model():
    return Model("I think it is to the left of it.")


@pytest.fixture(scope="module")
def address(ground, reader, model, tmp_path_factory):
    """Where the Space runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = tmp_path_factory.mktemp("home")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HOME": str(home),
        "HF_HOME": str(home),
        "HF_HUB_OFFLINE": "0",  # the client of models refuses to speak to anyone otherwise
        "HF_ENDPOINT": "http://127.0.0.1:9",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_SERVER_PORT": str(port),
        "MIS_GROUND_DATASET": str(ground),
        "MIS_GROUND_ENDPOINT": model.url,
        "MIS_GROUND_READER": str(reader.out),
        "NO_PROXY": "127.0.0.1",
    }
    log = home / "log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [os.environ["SPACE_PYTHON"], "app.py"], cwd=ROOT / "space", env=environment, stdout=file, stderr=file
        )
    address = f"http://127.0.0.1:{port}/"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(address, timeout=2).read()
                break
            except OSError:
                assert process.poll() is None, log.read_text()
                time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture(scope="module")
def page(address):
    with Browser(width=1500, height=1050) as browser:
        browser.send("Network.setBlockedURLs", urls=["https://*"])  # fonts and the like: no host is asked in a test
        visit(browser, address)
        yield browser


def visit(browser, address):
    browser.send("Page.navigate", url=address)
    browser.wait_for("document.querySelector('#question textarea')?.value.length > 0", timeout=60)


QUESTION = "document.querySelector('#question textarea').value"
COUNT = "document.querySelector('#count').innerText"
IMAGE = "document.querySelector('#image img')?.src"


def pick(browser, factor, value):
    """Choose a value of a filter as a user does: open the list, click the entry."""
    browser.evaluate(f"document.querySelector('#filter-{factor} input').focus()")
    browser.wait_for(f"[...document.querySelectorAll('#filter-{factor} [role=option]')].length > 1")
    browser.evaluate(
        f"[...document.querySelectorAll('#filter-{factor} [role=option]')]"
        f".find(one => one.innerText.trim().endsWith('{value}'))"
        ".dispatchEvent(new MouseEvent('mousedown', {bubbles: true}))"
    )


def click(browser, text, inside="body"):
    browser.evaluate(
        f"[...document.querySelectorAll('{inside} label, {inside} button')]"
        f".find(one => one.innerText.trim() === '{text}').click()"
    )


def rows_of(ground, **values):
    rows = [row for path in sorted((ground / "data").rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    return [row for row in rows if all(row[name] == value for name, value in values.items())]


def test_the_first_question_is_shown_with_its_image(page, ground):
    assert "1 of 16" in page.evaluate(COUNT)
    assert "Options: right; left" in page.evaluate(QUESTION)
    page.wait_for(f"{IMAGE} && document.querySelector('#image img').naturalWidth === 96")


def test_filters_leave_only_what_was_asked_for(page, ground):
    pick(page, "modality", "mri")
    page.wait_for(f"{COUNT}.includes('of 4')")
    assert "mri-axial-anatomical-label" in page.evaluate(COUNT)
    pick(page, "modality", "any")
    page.wait_for(f"{COUNT}.includes('of 16')")
    pick(page, "prompt", "box")
    page.wait_for(f"{COUNT}.includes('of 4')")
    assert len(rows_of(ground, prompt="box")) == 4


def test_next_and_back(page):
    click(page, "Next")
    page.wait_for(f"{COUNT}.startsWith('2 of 4')")
    click(page, "Back")
    page.wait_for(f"{COUNT}.startsWith('1 of 4')")


def test_with_and_without_marker(page, tmp_path):
    before = page.evaluate(IMAGE)
    click(page, "with boxes", "#shown")
    page.wait_for(f"{IMAGE} && {IMAGE} !== {json.dumps(before)}")
    with_boxes = page.evaluate(IMAGE)
    click(page, "without marker", "#shown")
    page.wait_for(f"{IMAGE} && {IMAGE} !== {json.dumps(with_boxes)}")
    assert page.evaluate(IMAGE) != before
    click(page, "as the model sees it", "#shown")
    page.wait_for(f"{IMAGE} === {json.dumps(before)}")


def test_an_answer_is_judged(page):
    click(page, "right", "#options")
    page.wait_for("document.querySelector('#verdict').innerText.includes('Right')")
    click(page, "left", "#options")
    page.wait_for("document.querySelector('#verdict').innerText.includes('Wrong')")


def test_a_model_is_asked_with_the_image(page, model):
    page.evaluate("document.querySelector('#ask button').click()")
    page.wait_for("document.querySelector('#go') !== null")
    page.evaluate("document.querySelector('#go').click()")
    page.wait_for("document.querySelector('#reply textarea')?.value.length > 0", timeout=60)
    reply = page.evaluate("document.querySelector('#reply textarea').value")
    assert reply.startswith("I think it is to the left of it.")
    assert "Options in it: left; not the right option alone." in reply
    kinds = [part["type"] for part in model.asked[-1]["messages"][0]["content"]]
    assert kinds == ["image_url", "text"]


def test_a_link_names_a_question(page, address, ground):
    wanted = rows_of(ground, modality="mri")[2]["id"]
    visit(page, f"{address}?id={wanted}")
    page.wait_for(f"{COUNT}.includes({json.dumps(wanted)})")


def test_nothing_went_wrong_in_the_page(page, tmp_path):
    page.screenshot(Path(os.environ.get("SPACE_SCREENSHOT", tmp_path / "space.png")))
    wrong = [message for message in page.messages if "ERR_BLOCKED_BY_CLIENT" not in message]
    assert not [message for message in wrong if "error" in message.lower()], wrong


def test_a_visitor_reads_blind_and_exports(page, address, reader, tmp_path):
    """The same page as `mis-ground read` writes: it stops, resumes and exports here, too."""
    visit(page, address)
    link = page.evaluate("document.querySelector('#reader a').href")
    assert link == f"{address}read"

    def open_reader():
        page.send("Page.navigate", url=link)
        page.wait_for("document.readyState === 'complete' && typeof viewer === 'object'")

    open_reader()
    begin(page, "A visitor")
    for number in range(6):
        if number == 3:
            open_reader()
            begin(page)
            assert page.evaluate("byId('progress').textContent") == "Question 4 of 6"
        page.press("1", code="Digit1", text="1")
        page.press("Enter", text="\r")
    found = read_answers(export(page, tmp_path))
    assert (found.reader, found.page, len(found.answers)) == ("A visitor", reader.page, 6)
    assert all(answer.answer for answer in found.answers.values())
