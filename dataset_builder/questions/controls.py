"""Controls: what is derived from a chosen question about a slice and differs from it in one thing.

* ``blank``: the same markers on an empty canvas.
* ``view``: the same image mirrored or turned; the structures that are asked about hidden (``occluded``); or another
  subject's slice, for which the answer is another (``swapped``, :mod:`dataset_builder.questions.swaps`).
* ``statement``: the same question, which says less of how the image is shown.
* ``option_form``: the same options in other orders, so that each stands once in each place; or the same fact as a
  question to be answered with yes or no.

Of all but the first two a drawn share of a volume's questions gets one, so that they cost little.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import ceil

from dataset_builder.core.factors import CONVENTIONS, DRAWN_PROMPTS, OPTION_FORMS, TURNED_VIEWS, OptionForm
from dataset_builder.core.settings import Settings, digest
from dataset_builder.questions.facts import Fact
from dataset_builder.questions.sampling import CARDINAL_AXES, Unit

STATEMENT_SHARE, SHIFTED_SHARE, YES_NO_SHARE, OCCLUDED_SHARE = 0.15, 0.1, 0.2, 0.2
"""Of a volume's questions that can have such a control, the share that gets it, and at least one."""

SHIFTS: tuple[OptionForm, ...] = OPTION_FORMS[1:4]
"""Shifted by one place, by two, by three."""


def controls(units: Sequence[Unit], settings: Settings, identity: str) -> list[list[Unit]]:
    """What is derived from each chosen unit of a volume's slices.

    Args:
        units: chosen, plain.
        settings: of the build.
        identity: what names the volume; with the seed it decides every draw.
    """

    def some(purpose: str, share: float, can: Callable[[Unit], bool]) -> set[int]:
        """Numbers of the units that get a control: so many, in drawn order."""
        able = [number for number, unit in enumerate(units) if can(unit)]
        able.sort(key=lambda number: digest(purpose, settings.seed, identity, units[number]))
        return set(able[: ceil(share * len(able))])

    def turning_on(convention: str) -> Callable[[Unit], bool]:
        return lambda unit: unit.convention == convention and turns_on_convention(unit)

    # A convention of its own each: what is not stated is radiological, as viewers have it.
    stated = {
        convention: some(f"statement {convention}", STATEMENT_SHARE, turning_on(convention))
        for convention in CONVENTIONS
    }
    moved = some("shifted", SHIFTED_SHARE, lambda unit: options_of(unit.fact) > 2)
    moved |= some("shifted pairs", SHIFTED_SHARE, lambda unit: options_of(unit.fact) == 2)
    confirmed = some("yes or no", YES_NO_SHARE, lambda unit: has_yes_no(unit.fact))
    occluded = some("occluded", OCCLUDED_SHARE, lambda unit: True)
    turned = [view for view in settings.views if view in TURNED_VIEWS]
    found = []
    for number, unit in enumerate(units):
        derived = []
        if "blank" in settings.inputs and unit.prompt in DRAWN_PROMPTS:
            derived.append(replace(unit, input="blank"))
        if turned and unit.fact.axis in CARDINAL_AXES:
            draw = random.Random(digest("view", settings.seed, identity, unit))
            derived.append(replace(unit, view=draw.choice(turned)))
        if number in occluded and "occluded" in settings.views:
            derived.append(replace(unit, view="occluded"))
        if number in stated[unit.convention]:
            unsaid = ("name", "none") if unit.convention == "radiological" else ("name",)
            derived += [replace(unit, statement=each) for each in settings.statements if each in unsaid]
        if number in moved:
            forms = SHIFTS[: options_of(unit.fact) - 1]
            derived += [replace(unit, option_form=form) for form in forms if form in settings.option_forms]
        if number in confirmed and "yes_no" in settings.option_forms:
            derived.append(replace(unit, option_form="yes_no"))
        found.append(derived)
    return found


def turns_on_convention(unit: Unit) -> bool:
    """Whether the convention decides how an answer is read off the image: directions in the patient's own frame."""
    return unit.frame == "patient" and unit.fact.axis in CARDINAL_AXES


def options_of(fact: Fact) -> int:
    """How many options a question about a slice offers."""
    return len(fact.options) or 2


def has_yes_no(fact: Fact) -> bool:
    """Whether a fact can be asked as "Is A to the left of B?"."""
    return fact.kind == "direction"


def shifted(options: list[str], form: OptionForm) -> list[str]:
    """The options in the order of a form.

    >>> shifted(["a", "b", "c", "d"], "shifted1")
    ['b', 'c', 'd', 'a']
    """
    by = SHIFTS.index(form) + 1 if form in SHIFTS else 0
    return options[by:] + options[:by]
