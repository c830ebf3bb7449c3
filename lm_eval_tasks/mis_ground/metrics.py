"""The scores of a reply. Needs nothing of the harness, so that logged replies are scored without it."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lm_eval_tasks.mis_ground.prompts import lettered
from lm_eval_tasks.mis_ground.reading import STATUSES, Reading, read
from lm_eval_tasks.mis_ground.replies import as_text

Document = dict[str, Any]


# -------------------------------------------------------------------------------------------- the reading of answers


def read_reply(doc: Mapping[str, Any], reply: str, finish_reason: str | None = None) -> Reading:
    """What a reply to a document's question says; see ``reading/``.

    Args:
        doc: the document, with ``options`` and ``question``, and ``letters`` if its options were lettered.
        reply: the generated text; one with an attribute ``finish_reason`` brings its own.
        finish_reason: why the generation ended, where that is known.
    """
    question = lettered(doc["question"], doc["options"]) if doc.get("letters") else doc["question"]
    ended = finish_reason or getattr(reply, "finish_reason", None)
    reply = reply if isinstance(reply, str) else as_text(reply)  # some servers answer in parts
    return read(reply, doc["options"], question, finish_reason=ended)


def extract_answer(reply: str, options: Sequence[str], question: str = "") -> str | None:
    """The option that a reply gives, or None."""
    return read(reply, options, question).option


# ------------------------------------------------------------------------------------------------------- the metrics


def process_results(doc: Document, results: Sequence[str]) -> dict[str, Any]:
    """The scores of one document.

    ``acc``; ``invalid``, which is the sum of ``refused``, ``truncated`` and ``unread``; and ``pair_acc`` where the leaf
    has pairs (see `pair_acc`).
    """
    if doc.get("empty"):
        return {"empty": 1.0}
    found = read_reply(doc, results[0])
    correct = found.option == doc["answer"]
    scores: dict[str, Any] = {"acc": float(correct), "invalid": float(found.option is None)}
    scores |= {status: float(found.status == status) for status in STATUSES if status != "read"}
    if doc["paired"]:
        scores["pair_acc"] = (doc["pair_id"], correct)
    return scores


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
