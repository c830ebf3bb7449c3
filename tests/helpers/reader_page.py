"""A person at the reader's page: opens it, answers, leaves, comes back, exports."""

import base64
import json
import re
import time

import cv2
import numpy as np


def page_data(path):
    """What the page's script is given."""
    text = path.read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)[1])


def begin(browser, name=""):
    if name:
        browser.evaluate(f"byId('name').value = {json.dumps(name)}")
    browser.evaluate("byId('go').click()")
    wait_for_image(browser)


def wait_for_image(browser):
    browser.wait_for("!viewer.item?.images.length || viewer.ready")


def choose(browser, option):
    """Click an option, as it is written on its button."""
    browser.evaluate(
        "[...document.querySelectorAll('#options button')]"
        f".find((button) => button.lastChild.textContent === {json.dumps(option)}).click()"
    )


def pixels(browser, size):
    """The image as it is on the screen, made as large as the data set's: uint8 [S, S, 3], RGB."""
    browser.evaluate(f"byId('canvas').style.width = '{size}px'; viewer.draw()")
    address = browser.evaluate("byId('canvas').toDataURL('image/png')")
    browser.evaluate("byId('canvas').style.width = ''; viewer.draw()")
    found = cv2.imdecode(np.frombuffer(base64.b64decode(address.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(found, cv2.COLOR_BGR2RGB)


def export(browser, folder, button="export"):
    """The file that the browser saves."""
    browser.send("Page.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    browser.evaluate(f"byId('{button}').click()")
    end = time.monotonic() + 60
    while not (found := list(folder.glob("answers-*.json"))):
        assert time.monotonic() < end, "no file was saved"
        browser.evaluate("0")
        time.sleep(0.02)
    return found[0]
