"""What a program could read that no reader of the image sees: ids, order of files, statistics and lowest bits.

A guesser learns from other volumes which place the right option has, and sees nothing but such traces. The place is
drawn for every question, so that there is nothing to learn unless something put it there.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from dataset_builder.check.images import Images
from dataset_builder.check.items import Item

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

END, START = 8, 4
"""How many characters of ids are looked at, from the end and from the beginning."""
_SHRINK = 30.0
"""How many more times a trace counts as seen with each place."""


def traces_of(rows: Sequence[Item], images: Images) -> list[tuple[str, ...]]:
    """The traces of each row, as words."""
    number_in_file: dict[str, int] = {}
    found = []
    for item in rows:
        number = number_in_file[item.file] = number_in_file.get(item.file, -1) + 1
        found.append(tuple(_of_row(item, number, images)))
    return found


def _of_row(item: Item, number: int, images: Images) -> Iterator[str]:
    for name in ("id", "pair_id", "fact_id"):
        text = getattr(item, name)
        yield f"{name} {len(text)}"
        yield from (f"{name} -{at} {text[-at]}" for at in range(1, min(END, len(text)) + 1))
        yield from (f"{name} {at} {text[at]}" for at in range(min(START, len(text))))
    yield f"row % 2 {number % 2}"
    yield f"row % 4 {number % 4}"
    for at, digest in enumerate(item.images[:1]):
        printed = images.print_of(digest)
        if printed is not None:
            yield f"image {at} low bits {round(printed.low_bits * 20)}"
            yield f"image {at} first bits {printed.corner}"
            yield f"image {at} mean {round(printed.mean)}"
            yield f"image {at} mean % 1 {int(printed.mean % 1 * 8)}"
        if digest in images.seen:
            yield f"image {at} bytes % 4 {images.seen[digest].bytes % 4}"


def trace_classifier(rows: Sequence[Item], folds: Numbers, traces: Sequence[Sequence[str]]) -> Floats:
    """Credit of taking the place that a row's traces speak for, learned on other folds [N]; naive Bayes."""
    vocabulary: dict[str, int] = {}
    coded = [np.array([vocabulary.setdefault(word, len(vocabulary)) for word in row]) for row in traces]
    credit = np.zeros(len(rows))
    sizes = np.array([len(item.options) for item in rows])
    places = np.array([item.options.index(item.answer) for item in rows])
    for count in sorted(set(sizes.tolist())):
        of_count = np.flatnonzero(sizes == count)
        together = np.zeros((len(vocabulary), count))
        for i in of_count.tolist():
            together[coded[i], places[i]] += 1
        for fold in sorted(set(folds[of_count].tolist())):
            held_out = of_count[folds[of_count] == fold]
            seen = together.copy()
            for i in held_out.tolist():
                seen[coded[i], places[i]] -= 1
            weight = np.log(seen + _SHRINK) - np.log((seen + _SHRINK).sum(axis=1, keepdims=True))
            for i in held_out.tolist():
                score = weight[coded[i]].sum(axis=0)
                best = np.flatnonzero(score >= score.max() - 1e-9)
                credit[i] = (places[i] in best) / len(best)
    return credit
