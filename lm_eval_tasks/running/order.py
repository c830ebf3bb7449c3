"""The order in which a model is asked: questions about the same images one after another, twins side by side.

A prompt begins with its images. An engine such as vLLM, or a server, stores what it has computed of the beginnings of
prompts (its prefix cache) and of images for as long as there is room, and computes nothing twice that it finds there.
The harness's models sort questions by length, which scatters those about one image over the whole run: by the time the
next one comes, the image is gone. Here they are put side by side, in chunks of bounded size, and `as_given` keeps the
harness's models from sorting them again. Prompts, and so answers, stay as they are.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lm_eval_tasks.running.images import fingerprint, images_of

Request = Any
"""The harness's ``Instance``; of it ``args`` and ``doc`` are read."""

CHUNK_OF_AUTOMATIC_BATCHES = 1024
"""Where the model makes its own batches, how many requests it gets at once: an engine that works on some hundred at a
time waits for the last answers of each chunk."""
IMAGES_PER_REQUEST = 2
"""Of such a chunk on average, at most: an engine holds all images of what it was asked in memory, about 6 MB each."""


def in_order(requests: Sequence[Request]) -> list[int]:
    """Positions of the requests in the order in which they should be asked.

    Requests with the same generation settings stand together, as the harness's models batch them. Among these:

    * the longest prompts come first, with the questions that share their first image, so that a model that is too
      large for the memory fails at once;
    * questions with the same images follow each other, and stacks that begin with the same images are neighbours;
    * of questions about the same images, the two of a pair follow each other;
    * questions without images are sorted by length, pairs together.

    Args:
        requests: of the harness.
    """
    # Images that are one object, as of a request asked several times, are read once.
    known: dict[int, str] = {}
    images = [tuple(_known(image, known) for image in images_of(request)) for request in requests]
    prompts = [str(request.args[0]) for request in requests]
    settings = [json.dumps(request.args[1], sort_keys=True, default=str) for request in requests]
    pairs = [_pair(request) or prompt for request, prompt in zip(requests, prompts, strict=True)]
    families = [own[:1] or (pair,) for own, pair in zip(images, pairs, strict=True)]
    longest: dict[Any, tuple[int, int]] = {}
    first_prompt: dict[Any, str] = {}
    for n, prompt in enumerate(prompts):
        family, unit = (settings[n], families[n]), (settings[n], images[n], pairs[n])
        longest[family] = min(longest.get(family, (0, 0)), (-len(images[n]), -len(prompt)))
        first_prompt[unit] = min(first_prompt.get(unit, prompt), prompt)

    def key(n: int) -> tuple[Any, ...]:
        unit = (settings[n], images[n], pairs[n])
        size = longest[settings[n], families[n]]
        return settings[n], size, families[n], images[n], first_prompt[unit], pairs[n], prompts[n], n

    return sorted(range(len(requests)), key=key)


def _known(image: Any, known: dict[int, str]) -> str:
    found = known.get(id(image))
    if found is None:
        found = known[id(image)] = fingerprint(image)
    return found


def _pair(request: Request) -> str:
    """What a question shares with its inverse; empty where nothing is known of it."""
    document = getattr(request, "doc", None)
    return str(document.get("pair_id") or "") if isinstance(document, Mapping) else ""


def chunks(requests: Sequence[Request], size: int) -> list[list[int]]:
    """Positions of the requests in the order of asking, in chunks of at most ``size``; large ones of bounded images."""
    most = IMAGES_PER_REQUEST * size if size >= CHUNK_OF_AUTOMATIC_BATCHES else sys.maxsize
    found: list[list[int]] = []
    images = 0
    for n in in_order(requests):
        own = len(images_of(requests[n]))
        if not found or len(found[-1]) == size or images + own > most:
            found.append([])
            images = 0
        found[-1].append(n)
        images += own
    return found


def ask_in_chunks(
    requests: Sequence[Request],
    ask: Callable[[list[Request]], Sequence[Any]],
    size: int,
    report: Callable[[int], None] = lambda asked: None,
) -> list[Any]:
    """The answers to all requests, in the order of ``requests``.

    Args:
        requests: of the harness.
        ask: the model.
        size: of a chunk.
        report: called after every chunk with the number of answers so far.
    """
    answers: list[Any] = [None] * len(requests)
    asked = 0
    for chunk in chunks(requests, size):
        with as_given():
            given = ask([requests[n] for n in chunk])
        for n, answer in zip(chunk, given, strict=True):
            answers[n] = answer
        asked += len(chunk)
        report(asked)
    return answers


def dealt(ask: Callable[[list[Request]], Sequence[Any]], workers: int) -> Callable[[list[Request]], Sequence[Any]]:
    """Asks such that each of several workers gets neighbouring requests, where the harness deals them out in turn."""
    if workers <= 1:
        return ask

    def ask_dealt(requests: list[Request]) -> Sequence[Any]:
        shares = [range(start, len(requests), workers) for start in range(workers)]
        places = [place for share in shares for place in share]  # the n-th request goes to places[n]
        mixed = [request for _, request in sorted(zip(places, requests, strict=True), key=lambda each: each[0])]
        given = ask(mixed)
        return [given[place] for place in places]

    return ask_dealt


@contextmanager
def as_given() -> Iterator[None]:
    """The harness's models answer requests in the order in which they get them, and do not sort them by length.

    They all leave the sorting to one class of the harness, which puts the answers back in place afterwards. There is no
    setting for it, so its method is replaced while a model answers. Nothing is imported for it: a model that
    uses the class has loaded it.
    """
    collator = getattr(sys.modules.get("lm_eval.models.utils"), "Collator", None)
    if collator is None:
        yield
        return
    original = collator._reorder

    def reorder(self: Any, requests: Any) -> Any:
        self._sort_fn = lambda each: 0  # the sort is stable
        return original(self, requests)

    collator._reorder = reorder
    try:
        yield
    finally:
        collator._reorder = original
