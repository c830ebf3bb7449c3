"""Three runs on hostile rows for a report's page, and what a reader of the page does: click, tick, open a question."""

import hashlib
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from dataset_builder.pictures.render import encode_png
from tests.helpers.harness_files import factorial_rows, luck, row

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


def count(browser):
    return int(browser.evaluate("byId('count').textContent").split(" of ")[0].replace(",", ""))


def shown(browser):
    return browser.evaluate("shown.map((i) => data.ids[i])")


def tick(browser, name, value):
    browser.evaluate(f"filters.boxes[{json.dumps(name)}].get({json.dumps(value)}).box.click()")


def open_at(browser, page, fragment):
    browser.requests.clear()
    browser.open(page, fragment)


def reveal(browser, wanted):
    """Set the switch that draws what the model did not see."""
    browser.evaluate(
        f"byId('reveal').checked = {str(wanted).lower()}; byId('reveal').dispatchEvent(new Event('change'))"
    )
