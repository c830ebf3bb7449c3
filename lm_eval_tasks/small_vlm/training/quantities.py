"""Training items whose answer is a box, a point or a number."""

import random
from collections.abc import Iterator, Mapping

from dataset_builder.core.factors import CONVENTIONS
from dataset_builder.core.settings import Settings
from dataset_builder.pictures.placement import placements
from dataset_builder.pictures.render import choose_window, draw
from dataset_builder.questions.wording import context
from dataset_builder.slices.selection import SliceRecord
from dataset_builder.vocabulary import Structure
from lm_eval_tasks.small_vlm.training.items import (
    Item,
    Turn,
    midline_in,
    numbers_of,
    one_image_item,
    small,
    what_is_shown,
)


def located_items(
    record: SliceRecord,
    settings: Settings,
    words: Mapping[str, Structure],
    numbers: Mapping[str, int],
    draw_from: random.Random,
) -> Iterator[Item]:
    for _ in range(2):
        convention = draw_from.choice(CONVENTIONS)
        where = placements(record, convention, settings.image_size)
        names = [n for n, p in where.items() if (p.box[2] - p.box[0]) * (p.box[3] - p.box[1]) > 900]
        if not names:
            return
        turns = []
        for name in draw_from.sample(names, min(6, len(names))):
            register = draw_from.choice(["clinical", "lay"])
            text = f"<image>\n{context(record.modality, record.plane, convention, register)} Where is the {getattr(words[name], register)}?\nAnswer with box.\nAnswer:"
            turns.append(Turn(text, "", tuple(c / settings.image_size for c in where[name].box), "box"))
        image = draw(record, convention, "none", (), choose_window(record, sorted(names), words), settings.image_size)
        at = what_is_shown(record, convention, settings, numbers, (), "none")
        yield one_image_item(
            small(image), at, numbers_of((), numbers), midline_in(record, convention), tuple(turns), "locate"
        )


def measured_items(record, settings, words, numbers, draw_from) -> Iterator[Item]:
    return iter(())


def quantities_of_volume(records, settings, words, numbers, seed) -> Iterator[Item]:
    draw_from = random.Random(str(seed))
    for record in records:
        if not record.stack:
            yield from located_items(record, settings, words, numbers, draw_from)
            yield from measured_items(record, settings, words, numbers, draw_from)
