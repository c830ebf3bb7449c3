"""Statements with places to fill, for every structure, side, name and image; see statements.yml."""

from itertools import permutations, product
from pathlib import Path

import pytest
import yaml

from lm_eval_tasks.mis_ground.reading import read
from tests.helpers.replies import questions

HERE = Path(__file__).parent
QUESTIONS = questions()
STATEMENTS = yaml.safe_load((HERE / "statements.yml").read_text(encoding="utf-8"))

FORMS = ("{}", "Structure {}", "The structure marked {}")


def said(name, reply):
    question = QUESTIONS[name]
    return read(reply, question["options"], question["question"]).option


def structures(form):
    parts = {letter: form.format(letter) for letter in "ABC"}
    within = form[:1].lower() + form[1:]
    return parts | {letter.lower(): within.format(letter) for letter in "ABC"}


@pytest.mark.parametrize("name", STATEMENTS["frames"])
def test_what_is_said_of_the_image_is_not_said_of_the_patient(name):
    for (template, read_as), form, sides in product(
        STATEMENTS["frames"][name], FORMS, (("left", "right"), ("right", "left"))
    ):
        parts = dict(zip("ip", sides, strict=True))
        reply = template.format(**structures(form), **parts)
        assert said(name, reply) == (read_as and parts[read_as]), reply


@pytest.mark.parametrize("name", STATEMENTS["relations"])
def test_relations_are_read_from_either_side(name):
    for (template, read_as), form in product(STATEMENTS["relations"][name], FORMS):
        reply = template.format(**structures(form))
        assert said(name, reply) == read_as, reply


@pytest.mark.parametrize("name", STATEMENTS["options"])
def test_one_option_is_read_beside_another(name):
    options = QUESTIONS[name]["options"]
    for (template, read_as), (x, y) in product(STATEMENTS["options"][name], permutations(options, 2)):
        reply = template.format(x=x, y=y, X=x.capitalize(), Y=y.capitalize())
        assert said(name, reply) == (x if read_as == "x" else None), reply
