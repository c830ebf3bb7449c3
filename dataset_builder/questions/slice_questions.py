"""From units to questions: the wording, options and answer of each, with the inverse beside it."""

import random
from collections.abc import Mapping

from dataset_builder.core.factors import (
    Plane,
)
from dataset_builder.core.settings import Settings, digest
from dataset_builder.pictures.letters import LETTERS
from dataset_builder.pictures.placement import placements
from dataset_builder.pictures.render import choose_window
from dataset_builder.questions.controls import shifted
from dataset_builder.questions.facts.lesion_facts import OF_LESIONS
from dataset_builder.questions.question import Names, Question, choose_template, make_question, members_of
from dataset_builder.questions.sampling import Unit
from dataset_builder.questions.wording import (
    context,
    fill,
    image_term,
    marker_sentence,
    opposites,
    references,
    relation_term,
    structure_name,
    view_sentence,
)
from dataset_builder.questions.yes_no import Claim
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.vocabulary import Structure


def ask(
    unit: Unit,
    record: SliceRecord,
    settings: Settings,
    structures: Mapping[str, Structure],
    names: Names | None = None,
) -> list[Question]:
    """The one or two questions of a unit about a slice.

    Args:
        record: the slice that the unit's fact was measured in.
        structures: the vocabulary.
        names: of another unit's rows, whose words these are to have.
    """
    fact, prompt, register, plane = unit.fact, unit.prompt, unit.register, record.plane
    names = names or Names.of(unit, record, settings)
    where = placements(record, unit.convention, settings.image_size, unit.view)
    members = members_of(fact)
    listed = _options(unit, plane, structures)
    random.Random(digest("options", settings.seed, names.wording_seed)).shuffle(listed)
    options = shifted(listed, unit.option_form)
    claim = Claim.of(unit, plane, names, settings) if unit.option_form == "yes_no" else None
    # All members share one window, or it would tell which of a pair's structures is asked about.
    named = {name for of_member, _ in members for name in of_member} | set(fact.options)
    window = choose_window(record, sorted(named), structures)
    key = _question_key(unit, plane)
    template_name, template = choose_template(key, register, names.fact_seed, settings.seed)
    if claim is not None:
        options, template_name, template = claim.options, f"yes_no_{key}.0", claim.template
    asked = []
    for number, (of_member, relation) in enumerate(members):
        boxes = tuple(where[name].box for name in of_member)
        points = tuple(where[name].point for name in of_member)
        refs = references(prompt, [structures[name] for name in of_member], register)
        sentences = [
            context(record.modality, plane, unit.convention, register, unit.statement),
            view_sentence(unit.view, register),
            marker_sentence(prompt, LETTERS[: len(of_member)], boxes, points, settings.image_size),
            fill(template, refs, options),
        ]
        answer = _answer(unit, plane, relation, structures)
        if claim is not None:
            answer = claim.answer(relation)
        no_prior = fact.kind in OF_LESIONS or any(structures[name].is_lesion for name in of_member)
        # Where two subjects differ, anatomy has no answer.
        no_prior |= unit.view == "swapped" and prompt == "none"
        prior = "" if no_prior else _prior(unit, plane, relation, answer)
        if claim is not None and prior and prior not in claim.options:
            prior = claim.prior(prior)
        asked.append(
            make_question(
                unit,
                record,
                names,
                number,
                sentences=sentences,
                options=options,
                answer=answer,
                prior_answer=prior if prior in options else "",
                template=template_name,
                relation=relation,
                structures=of_member,
                boxes=boxes,
                points=points,
                box_images=(0,) * len(of_member),
                window=window,
                input=unit.input,
                view=unit.view,
            )
        )
    return asked


def _options(unit: Unit, plane: Plane, structures: Mapping[str, Structure]) -> list[str]:
    """The words to choose from, in a fixed order."""
    fact = unit.fact
    if fact.terminology == "anatomical":
        # By the clinical name in both registers: a new lay wording must not move an option to another position.
        names = sorted(fact.options, key=lambda name: structures[name].clinical)
        return [structure_name(structures[name], unit.register) for name in names]
    return sorted(_term(unit, plane, relation) for relation in (fact.relation, opposites()[fact.relation]))


def _answer(unit: Unit, plane: Plane, relation: str, structures: Mapping[str, Structure]) -> str:
    if unit.fact.terminology == "anatomical":
        return structure_name(structures[relation], unit.register)
    return _term(unit, plane, relation)


def _prior(unit: Unit, plane: Plane, relation: str, answer: str) -> str:
    """What anatomy says without the image; no option where it says nothing."""
    if unit.fact.terminology == "anatomical":
        return ""
    if unit.frame == "image":
        return image_term(relation, plane, "radiological")
    return answer if unit.fact.kind == "direction" else ""


def _term(unit: Unit, plane: Plane, relation: str) -> str:
    if unit.frame == "image":
        return image_term(relation, plane, unit.convention, unit.view)
    return relation_term(relation, unit.register)


def _question_key(unit: Unit, plane: Plane) -> str:
    fact = unit.fact
    by_kind = {"direction": "", "centre": "centre_", "image_half": "half_"}
    if fact.kind not in by_kind or fact.axis is None:
        return fact.kind
    if unit.frame == "image":
        sideways = image_term(fact.relation, plane, unit.convention, unit.view) in ("left", "right")
        return f"{by_kind[fact.kind]}{'image_horizontal' if sideways else 'image_vertical'}"
    return f"{by_kind[fact.kind]}{fact.axis}"
