"""The readers of positions and numbers against replies that a person has read."""

import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from lm_eval_tasks.mis_ground.coordinates import Space
from lm_eval_tasks.mis_ground.reading.numbers import read_number
from lm_eval_tasks.mis_ground.reading.places import read_place

HERE = Path(__file__).parent
PLACES = yaml.safe_load((HERE / "places.yml").read_text(encoding="utf-8"))
NUMBERS = yaml.safe_load((HERE / "numbers.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("row", PLACES, ids=[f"{n} {row[0]} {row[1]}" for n, row in enumerate(PLACES)])
def test_positions_are_read_as_a_person_reads_them(row):
    form, asked, reply, read_as = row
    kind, _, images = asked.partition(" of ")
    found = read_place(reply, kind, Space(form, 512, 512), int(images or 1))
    assert (found.option or f"{found.status} {found.stage}") == read_as


@pytest.mark.parametrize("row", NUMBERS, ids=[f"{n} {row[0]}" for n, row in enumerate(NUMBERS)])
def test_numbers_are_read_as_a_person_reads_them(row):
    unit, reply, read_as = row
    found = read_number(reply, unit)
    if isinstance(read_as, str):
        assert f"{found.status} {found.stage}" == read_as
    else:
        assert found.values[0] == pytest.approx(read_as, rel=1e-4)


def test_the_tables_are_long():
    assert len(PLACES) >= 60
    assert len(NUMBERS) >= 60


def test_a_reply_that_was_cut_off_is_truncated_unless_its_answer_stands_first():
    space = Space("pixel", 512, 512)
    long = "The spine is in the box [200, 300, 280, 400]. " + "The kidney lies beside it. " * 9
    assert read_place(long, "box", space, finish_reason="length").status == "truncated"
    first = '[{"bbox_2d": [120, 200, 180, 260], "label": "left ki'
    assert read_place(first, "box", space, finish_reason="length").status == "read"
    second = '[{"bbox_2d": [120, 200, 180, 260], "label": "left kidney"}, {"bbox_2d": [130, 2'
    assert read_place(second, "box", space, finish_reason="length").status == "truncated"
    assert read_number("The scale bar is 50 mm long, and so", "mm", "length").status == "truncated"
    assert read_number("", "mm", "content_filter").status == "refused"


@settings(max_examples=100, deadline=None)
@given(st.floats(0.1, 900).map(lambda value: round(value, 1)))
def test_a_length_is_the_same_in_every_unit(value):
    said = [
        f"{value} mm",
        f"{value / 10:.6g} cm",
        f"about {value / 25.4:.6g} inches",
        f"{str(value).replace('.', ',')} mm",
    ]
    said += [
        f"The distance is {value} mm ({value / 10:.4g} cm).",
        f'{{"value": {value}, "unit": "mm"}}',
        f"Answer: {value}",
    ]
    for reply in said:
        assert read_number(reply, "mm").values[0] == pytest.approx(value, rel=1e-4), reply


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="0123456789.,-+/: ~<>=%°\"' mcinx\n", max_size=40))
def test_any_reply_gives_a_number_that_can_be_or_none(reply):
    for unit in ("mm", "degree", "ratio"):
        found = read_number(reply, unit)
        assert (found.option is None) == (found.status != "read")
        assert all(math.isfinite(value) and value >= 0 for value in found.values)
