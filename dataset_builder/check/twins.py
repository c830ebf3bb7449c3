"""Controls against the rows that they are derived from: hidden structures, and slices of other subjects."""

import re
from collections.abc import Iterable, Iterator

from dataset_builder.check.findings import Findings
from dataset_builder.check.items import Item, Items, group

_TWIN = (
    *("question", "options", "answer", "prior_answer", "modality", "plane", "terminology", "template", "boxes"),
    *("points", "box_images", "source", "subject", "patient", "slice_index", "pixel_mm", "oblique_degrees", "window"),
    *("margin_mm", "licence"),
)

_SAME_WORDS = ("modality", "plane", "terminology", "options", "template", "stack_order", "answer_type")


def twin_key(item: Item) -> tuple[object, ...]:
    """What a control shares with the one row that it differs from in the image alone."""
    return item.fact_id, item.structures, item.relation, item.prompt, item.register, item.convention, item.frame


def twin_problems(item: Item, twin: Item) -> list[str]:
    """The columns in which a control differs from its twin, where it must not."""
    return [name for name in _TWIN if getattr(item, name) != getattr(twin, name)]


def with_original(
    check: str, problem: str, controls: Iterable[Item], items: Items, findings: Findings
) -> Iterator[tuple[Item, Item]]:
    """Controls and the one row that each differs from in the image alone; ``problem`` where there is not one."""
    originals = group((twin_key(item), item) for item in items.rows if item.is_original)
    for item in controls:
        findings.looked(check)
        found = originals.get(twin_key(item), [])
        if len(found) == 1:
            yield item, found[0]
        else:
            findings.violation(check, problem, str(item), f"{len(found)} originals")


def check_occluded(items: Items, findings: Findings) -> None:
    """Each row whose structures are hidden has one original, from which it differs in the image alone."""
    hidden = [item for item in items.rows if item.view == "occluded"]
    if not hidden or not any(item.is_original for item in items.rows):
        findings.skip("occluded", "There are no rows with hidden structures, or no originals.")
        return
    none = "A row with hidden structures does not have exactly one original."
    for item, original in with_original("occluded", none, hidden, items, findings):
        if different := twin_problems(item, original):
            problem = "A row with hidden structures differs from its original in more than the image."
            findings.violation("occluded", problem, str(item), f"{', '.join(different)}; original {original.id}")
        if item.images and item.images == original.images:
            problem = "A row with hidden structures shows its original's image."
            findings.violation("occluded", problem, str(item), original.id)


def check_forms(items: Items, findings: Findings) -> None:
    """Each row that states less of the convention, or offers its options otherwise, has one original."""
    varied = [item for item in items.rows if (item.statement, item.option_form) != ("edges", "listed")]
    if not varied or not any(item.is_original for item in items.rows):
        findings.skip("forms", "There are no such rows, or no originals.")
        return
    none = "A control does not have exactly one original."
    for item, original in with_original("forms", none, varied, items, findings):
        may_differ = {"question"}
        if item.option_form == "yes_no":
            may_differ |= {"options", "answer", "prior_answer", "template"}
        elif item.option_form != "listed":
            may_differ |= {"options"}
            by = int(item.option_form.removeprefix("shifted"))
            if item.options != original.options[by:] + original.options[:by]:
                problem = "The options of a control are not its original's, shifted."
                findings.violation("forms", problem, str(item), f"{'; '.join(item.options)}; original {original.id}")
        different = [name for name in twin_problems(item, original) if name not in may_differ]
        if item.option_form != "yes_no" and _asked(item) != _asked(original):
            different.append("question")
        if item.images and item.images != original.images:
            different.append("images")
        if different:
            problem = "A control differs from its original in more than it should."
            findings.violation("forms", problem, str(item), f"{', '.join(different)}; original {original.id}")


def _asked(item: Item) -> list[str]:
    """The words of the sentence that asks; two options stand in it in the order in which they are listed."""
    return sorted(re.findall(r"\w+", item.stem.rpartition(". ")[2]))


def check_swapped(items: Items, findings: Findings) -> None:
    """Each swapped row has one original: the same words, another subject, another answer."""
    swapped = [item for item in items.rows if item.view == "swapped"]
    if not swapped or not any(item.is_original for item in items.rows):
        findings.skip("swapped", "There are no swapped rows, or no originals.")
        return
    originals = group((_words_key(item), item) for item in items.rows if item.is_original)
    for item in swapped:
        findings.looked("swapped")
        same = originals.get(_words_key(item), [])
        # Of a pair the one that it answers otherwise; each of a pair's answers is the other's opposite.
        found = [original for original in same if original.relation != item.relation]
        if len(found) != 1:
            findings.violation(
                "swapped", "A swapped row does not have exactly one original.", str(item), f"{len(found)} originals"
            )
            continue
        (original,) = found
        different = [name for name in _SAME_WORDS if getattr(item, name) != getattr(original, name)]
        if _without_places(item.question) != _without_places(original.question):
            different.append("question")
        if different:
            problem = "A swapped row differs from its original in more than the slice."
            findings.violation("swapped", problem, str(item), f"{', '.join(different)}; original {original.id}")
        if item.volume == original.volume or (
            item.source == original.source and item.patient == original.patient != ""
        ):
            findings.violation("swapped", "A swapped row shows the slice of the same subject.", str(item), original.id)
        if item.answer == original.answer:
            problem = "A swapped row has the answer of its original."
            findings.violation("swapped", problem, str(item), f"{item.answer}; original {original.id}")
        known = {name for one in same for name in one.structures}
        is_named = item.prompt == "none" and item.terminology != "anatomical"
        others = item.terminology != "anatomical" and not known >= set(item.structures)
        if others or (is_named and item.structures != original.structures):
            findings.violation(
                "swapped", "A swapped row is about other structures than its original.", str(item), original.id
            )


def _words_key(item: Item) -> tuple[object, ...]:
    return item.fact_id, item.prompt, item.register, item.convention, item.frame


def _without_places(question: str) -> str:
    """A question without the coordinates that stand for its markers."""
    return re.sub(r"\(\d+, \d+\)", "()", question)
