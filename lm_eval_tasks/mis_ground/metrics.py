"""The scores of a reply. Needs nothing of the harness, so that logged replies are scored without it."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lm_eval_tasks.mis_ground.coordinates import Space
from lm_eval_tasks.mis_ground.localization import centre, decoded, overlap, score_box, score_point
from lm_eval_tasks.mis_ground.measurement import mean_relative_accuracy, score_number
from lm_eval_tasks.mis_ground.prompts import answer_type_of, lettered, question_of
from lm_eval_tasks.mis_ground.reading import STATUSES, Reading, read
from lm_eval_tasks.mis_ground.reading.numbers import read_number
from lm_eval_tasks.mis_ground.reading.places import read_place
from lm_eval_tasks.mis_ground.replies import as_text

Document = dict[str, Any]

PLACE_METRICS = {
    "box": ("iou", "centre_mm", "size_ratio", "image_acc", "prior_acc", "prior_iou", "random_acc", "random_iou"),
    "point": ("distance_mm", "image_acc", "prior_acc", "random_acc"),
    "number": ("mra", "bias", "prior_acc", "prior_mra"),
}
"""Scores beside those that all answers have, by what is asked for; see `scores_of` and `baselines_of`."""
MEDIANS = ("centre_mm", "size_ratio", "distance_mm", "bias")
"""Scores of which the middle is shown; of the others the mean."""
LOWER_IS_BETTER = ("invalid", "refused", "truncated", "unread", "empty", "centre_mm", "distance_mm")
"""Scores that are better when they are lower."""


# -------------------------------------------------------------------------------------------- the reading of answers


def read_reply(doc: Mapping[str, Any], reply: str, finish_reason: str | None = None) -> Reading:
    """What a reply to a document's question says; see ``reading/``.

    Args:
        doc: the document, with ``options`` and ``question``, and ``letters`` if its options were lettered.
        reply: the generated text; one with an attribute ``finish_reason`` brings its own.
        finish_reason: why the generation ended, where that is known.
    """
    ended = finish_reason or getattr(reply, "finish_reason", None)
    reply = reply if isinstance(reply, str) else as_text(reply)  # some servers answer in parts
    kind = answer_type_of(doc)
    if kind == "number":
        return read_number(reply, doc["unit"], ended)
    if kind != "choice":
        images = 1 if doc["answer_image"] is None else max(2, images_of(doc))
        return read_place(reply, kind, Space.from_json(doc["coordinates"]), images, ended)  # type: ignore[arg-type]
    question = question_of(doc)
    question = lettered(question, doc["options"]) if doc.get("letters") else question
    return read(reply, doc["options"], question, finish_reason=ended)


def images_of(doc: Mapping[str, Any]) -> int:
    """How many images a document's question is about."""
    return int(doc.get("panels") or len(doc.get("slice_index") or doc.get("images") or [None]))


def extract_answer(reply: str, options: Sequence[str], question: str = "") -> str | None:
    """The option that a reply gives, or None."""
    return read(reply, options, question).option


# ------------------------------------------------------------------------------------------------------- the metrics


def process_results(doc: Document, results: Sequence[str]) -> dict[str, Any]:
    """The scores of one document.

    Of a position or a number also those of `scores_of`, and those of its baselines; of an option
    ``acc``; ``invalid``, which is the sum of ``refused``, ``truncated`` and ``unread``; and ``pair_acc`` where the leaf
    has pairs (see `pair_acc`).
    """
    if doc.get("empty"):
        return {"empty": 1.0}
    found = read_reply(doc, results[0])
    measured = scores_of(doc, found)
    correct = measured["acc"] == 1
    scores: dict[str, Any] = measured | {"invalid": float(found.option is None)}
    scores |= {status: float(found.status == status) for status in STATUSES if status != "read"}
    if answer_type_of(doc) != "choice":
        scores |= baselines_of(doc)
    if doc["paired"]:
        scores["pair_acc"] = (doc["pair_id"], correct)
    return scores


# ------------------------------------------------------------------------------------------- positions and numbers


def scores_of(doc: Mapping[str, Any], found: Reading) -> dict[str, float]:
    """How good what was read is.

    Returns:
        ``acc`` always. Of a box ``iou``, ``centre_mm``, ``size_ratio``; of a point ``distance_mm``; of a number ``mra``
        and ``bias``. What has no meaning without a valid answer (in the right image) is left out then: distances, the
        size ratio and the bias.
    """
    kind = answer_type_of(doc)
    if kind == "choice":
        return {"acc": float(found.option is not None and found.option == doc["answer"])}
    failed = {"acc": 0.0} | {"box": {"iou": 0.0}, "number": {"mra": 0.0}}.get(kind, {})
    if found.option is None:
        return failed
    if kind == "number":
        return score_number(found.values[0], doc["value"], doc["tolerance"])
    right_image = doc["answer_image"] is None or found.image == doc["answer_image"]
    if doc["answer_image"] is not None:
        failed |= {"image_acc": float(right_image)}
    if not right_image:
        return failed
    if kind == "box":
        return failed | score_box(found.values, doc["boxes"][0], doc["pixel_mm"])
    return failed | score_point(found.values, decoded(doc["masks"][0]), doc["pixel_mm"])


def baselines_of(doc: Mapping[str, Any]) -> dict[str, float]:
    """The scores of those who do not look: the prior over the other volumes, and a box drawn at random.

    They stand in the document's ``prior``; see `dataset_builder.dataset.priors`.
    """
    prior: Mapping[str, Any] = doc.get("prior") or {}
    kind = answer_type_of(doc)
    if kind == "number":
        if prior.get("value") is None:
            return {}
        scores = score_number(prior["value"], doc["value"], doc["tolerance"])
        return {"prior_acc": scores["acc"], "prior_mra": mean_relative_accuracy(prior["value"], doc["value"])}
    right_image = doc["answer_image"] is None or prior.get("image") == doc["answer_image"]
    found: dict[str, float] = {}
    mask = decoded(doc["masks"][0]) if kind == "point" else None
    for name in ("prior", "random"):
        box = prior.get("box" if name == "prior" else "random")
        if box is None:
            continue
        if mask is not None:
            middle = [math.floor(number) for number in centre(box)]
            found[f"{name}_acc"] = right_image * score_point(middle, mask, doc["pixel_mm"])["acc"]
        else:
            iou = right_image * overlap(box, doc["boxes"][0])
            found |= {f"{name}_acc": float(iou >= 0.5), f"{name}_iou": iou}
    return found


def median(values: Iterable[float]) -> float:
    """The middle of all values: one answer of a million millimetres moves it no more than one of a hundred."""
    return float(statistics.median(values))


def pair_acc(items: Iterable[tuple[str, bool]]) -> float:
    """The share of pairs of which both items were answered rightly.

    Items without a partner do not count: those that have none by nature (their pair_id is ""), and those whose partner
    ``--limit`` cut off. Where no whole pair is left there is no number (NaN).
    """
    pairs: dict[str, list[bool]] = defaultdict(list)
    for pair_id, correct in items:
        if pair_id:
            pairs[pair_id].append(correct)
    whole = [all(members) for members in pairs.values() if len(members) == 2]
    return sum(whole) / len(whole) if whole else float("nan")
