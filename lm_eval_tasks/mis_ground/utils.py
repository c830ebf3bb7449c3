"""MIS-Ground for lm-evaluation-harness: what the task files name, the reading of answers, and the metrics."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from lm_eval_tasks.mis_ground.prompts import doc_to_blind_text, doc_to_text
from lm_eval_tasks.mis_ground.task import MISGroundTask

__all__ = [
    "MISGroundTask",
    "doc_to_blind_text",
    "doc_to_text",
    "extract_answer",
    "pair_acc",
    "plain",
    "process_results",
]

Document = dict[str, Any]


# -------------------------------------------------------------------------------------------- the reading of answers

PLAIN_FOLLOWERS = frozenset({"and", "at", "from", "in", "of", "on", "or", "structure", "than", "the", "to", "with"})
"""Words that may follow an option in a question without making a name of the two."""

NEGATION = re.compile(r"(?:\b(?:not|neither|nor)|n't)(?: (?:to|on|in|at|the|a))*[ '(]*$")


def plain(text: str) -> str:
    r"""Text as answers are compared: no case, no markup, one kind of dash, quote and blank.

    >>> plain("**Left**\u2013hand  side")
    'left-hand side'
    """
    text = unicodedata.normalize("NFKC", text).casefold()
    text = re.sub("[\u2010-\u2015\u2212]", "-", text)
    text = re.sub("[\u2018\u2019\u02bc]", "'", text)
    text = re.sub(r'[*`#~"\u201c\u201d]', "", text)
    return re.sub(r"[\s_]+", " ", text).strip()


def extract_answer(reply: str, options: Sequence[str], question: str = "") -> str | None:
    """The option that a reply gives, or None: the first option found in it as a whole word or phrase.

    Case, punctuation, markup, and what stands before ("A)", "Answer:") do not matter; of options that begin at the
    same place the longest counts. Three kinds of places are passed over, and nothing is concluded from them:

    * in the reasoning of a model that marks it with ``<think>``;
    * after a negation ("not left", "isn't to the left", "non-adjacent");
    * in a longer name that the question uses too: where it asks about "the left kidney", "left kidney" is no "left".

    Args:
        reply: the generated text.
        options: the options as listed.
        question: the question, for the names in it.
    """
    if "</think>" in reply:
        reply = reply.rsplit("</think>", 1)[1]
    elif "<think>" in reply:
        return None
    text, asked = plain(reply), plain(question)
    by_text = {plain(option): option for option in options}
    if not by_text:
        return None
    longest_first = sorted(by_text, key=len, reverse=True)
    either = "|".join(r"[ -]".join(map(re.escape, re.split(r"[ -]", option))) for option in longest_first)
    for found in re.finditer(rf"(?<!\w)(?<!\w-)(?:{either})(?!\w)", text):
        if NEGATION.search(text[: found.start()]):
            continue
        following = re.match(r"[ -](\w+)", text[found.end() :])
        if following and following[1] not in PLAIN_FOLLOWERS:
            name = re.escape(found[0]) + r"[ -]" + re.escape(following[1])
            if re.search(rf"(?<!\w){name}(?!\w)", asked):
                continue
        return next(option for key, option in by_text.items() if key.replace("-", " ") == found[0].replace("-", " "))
    return None


# ------------------------------------------------------------------------------------------------------- the metrics


def process_results(doc: Document, results: Sequence[str]) -> dict[str, Any]:
    """The scores of one document: ``acc``, ``invalid``, and ``pair_acc`` where the leaf has pairs; see `pair_acc`."""
    if doc.get("empty"):
        return {"empty": 1.0}
    answer = extract_answer(results[0], doc["options"], doc["question"])
    correct = answer == doc["answer"]
    scores: dict[str, Any] = {"acc": float(correct), "invalid": float(answer is None)}
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
