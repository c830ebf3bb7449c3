"""Questions that are answered with yes or no, read as what they ask to be confirmed.

Which direction that is stands in the text alone. With it a row says the same as one that offers two directions, and all
checks of those hold for it.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from dataset_builder.check.items import Item
from dataset_builder.check.phrases import opposite, pattern, phrases, relations

_IMAGE_OPPOSITE = {"left": "right", "right": "left", "above": "below", "below": "above"}


@lru_cache(maxsize=8)
def _terms(register: str) -> Mapping[str, str]:
    """The word of each relation."""
    return {relation: word for word, relation in relations(register).items()}


def claimed(item: Item) -> str | None:
    """The relation that a row asks to be confirmed, or the side of the image; ``None`` if not exactly one is read."""
    kind = "claim_in_image" if item.frame == "image" else "claim"
    asked = item.stem.rpartition(". ")[2]
    found = [name for name in phrases()[kind] if pattern(kind, name).search(asked)]
    return found[0] if len(found) == 1 else None


def as_choice(item: Item) -> Item | None:
    """The same row as one that offers the claimed direction and its opposite; ``None`` if no direction is read."""
    said = claimed(item)
    if said is None or set(item.options) != {"yes", "no"}:
        return None
    in_image = item.frame == "image"
    denied = _IMAGE_OPPOSITE[said] if in_image else opposite()[said]
    word, other = (said, denied) if in_image else (_terms(item.register)[said], _terms(item.register)[denied])
    means = {"yes": word, "no": other}
    options = tuple(means[option] for option in item.options)
    prior = means.get(item.prior_answer, "")
    return replace(item, options=options, answer=means.get(item.answer, ""), prior_answer=prior, option_form="listed")
