"""Before a long run: how long it will be, and whether the images reach the model.

An image that is silently dropped is the best-known trap of evaluations with images: the run goes through, and the
scores are those of a model that was shown nothing. So the places for images in the prompts are counted, and some
questions are asked twice, with their image and with a blank one: a model that answers all of them the same does
not look.
"""

import copy
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.running.images import images_of

Request = Any
Ask = Callable[[list[Request]], Sequence[str]]

Keep = Callable[[Request, Request, str], None]


def keep_nothing(request: Request, asked: Request, answer: str) -> None:
    """Answers to trial questions are forgotten."""


PROBES = 12
"""How many questions are asked with their image and with a blank one."""

LONG_RUN = 200
"""A run of at least this many questions is probed; a shorter one is over before."""

DEFAULT_PLACEHOLDER = "<image>"
TOKEN_NAMES = ("image_token", "boi_token", "image_start_token", "start_image_token", "vision_start_token")
"""Attributes of models, processors and tokenizers that hold the text that stands for an image."""


@dataclass(frozen=True)
class Plan:
    """What a run is going to ask."""

    questions: int
    images: int
    tasks: int

    @classmethod
    def of(cls, requests: Sequence[Request]) -> "Plan":
        """Count the questions, their images and their tasks."""
        return cls(
            len(requests), sum(len(images_of(request)) for request in requests), len({r.task_name for r in requests})
        )


@dataclass(frozen=True)
class Probe:
    """What asking with and without images showed.

    Args:
        asked: questions asked twice.
        same: those answered the same both times.
        different_answers: how many different answers were given to the questions with their images.
        seconds: that a question took.
        reached: whether the first logits differ, where the model can tell.
        empty: those that were answered with nothing, both times.
    """

    asked: int
    same: int
    different_answers: int
    seconds: float
    reached: bool | None
    empty: int = 0


def placeholder_problems(requests: Sequence[Request], model: Any) -> list[str]:
    """Whether each prompt has a place for each of its images, and the model takes so many.

    Args:
        requests: of the harness, their prompts in the model's chat template if it is used.
        model: the harness's model.

    Returns:
        Sentences for the user; none if all is well or it is unknown (models behind an API make places themselves).
    """
    problems = []
    most = max((len(images_of(request)) for request in requests), default=0)
    taken = getattr(model, "max_images", None)
    if taken is not None and most > taken:
        problems.append(
            f"The model takes {taken} image(s) per question and some questions have {most}: the others would be "
            f"dropped. Give it more: --model_args max_images={most}."
        )
    if hasattr(model, "_concurrent"):
        return problems
    tokens = placeholders(model)
    wrong = []
    for request in requests:
        expected = len(images_of(request))
        # The first token that there is counts: others may stand around it.
        places = next(filter(None, (request.args[0].count(token) for token in tokens)), 0)
        if expected and places != expected:
            wrong.append((request, expected))
    if wrong:
        request, expected = wrong[0]
        counts = ", ".join(f"{token!r} {request.args[0].count(token)} times" for token in tokens)
        problems.append(
            f"{len(wrong)} of {len(requests)} prompts do not have a place for each of their images: a question of "
            f"{request.task_name} has {expected}, and in its prompt there is {counts}. Is --apply_chat_template "
            "missing, or does the model need another image_token_id or image_string in --model_args?"
        )
    return problems


def placeholders(model: Any) -> list[str]:
    """The texts that may stand for an image in a prompt: the model's own first."""
    holders = (model, getattr(model, "processor", None), getattr(model, "tokenizer", None))
    found = [getattr(model, "image_token", None), DEFAULT_PLACEHOLDER]
    found += [getattr(holder, name, None) for holder in holders for name in TOKEN_NAMES]
    return list(dict.fromkeys(token for token in found if isinstance(token, str) and token))


def probe(
    requests: Sequence[Request],
    model: Any,
    ask: Ask,
    count: int = PROBES,
    keep: Keep = keep_nothing,
) -> Probe | None:
    """Ask some questions with their images and with blank ones; None if no question has an image.

    Args:
        requests: of the harness.
        model: asked for its logits if it can give them.
        ask: gives answers to requests.
        count: the most questions to take, spread over all.
        keep: called with a request of the run, the one that was asked in its place and its answer, where the two are
            the same: it need not be asked again.
    """
    with_images = [request for request in requests if images_of(request)]
    if not with_images:
        return None
    step = max(1, len(with_images) // count)
    taken = with_images[::step][:count]
    chosen = [_decided(request, blank=False) for request in taken]
    blank = [_decided(request, blank=True) for request in taken]
    as_asked = [one.args[1] == request.args[1] for one, request in zip(chosen, taken, strict=True)]
    with _own_random_numbers():
        answers = ask(chosen)
        for request, one, same_request, answer in zip(taken, chosen, as_asked, answers, strict=True):
            if same_request:
                keep(request, one, answer)
        seen = [str(answer).strip() for answer in answers]
        start = time.monotonic()
        unseen = [str(answer).strip() for answer in ask(blank)]
        seconds = (time.monotonic() - start) / len(chosen)
        same = sum(one == other for one, other in zip(seen, unseen, strict=True))
        empty = sum(not one and not other for one, other in zip(seen, unseen, strict=True))
        reached = logits_differ(model, chosen[0], blank[0]) if same == len(chosen) else True
    return Probe(len(chosen), same, len(set(seen)), seconds, reached, empty)


ALL_EMPTY = (
    "All {count} answers are empty. A model that thinks may use up its budget before it answers: give it more room "
    "(--style native, or --gen_kwargs max_gen_toks=16384), or switch its thinking off (docs/models.md)."
)

MANY_CUT = 0.2
"""From this share of answers that were cut off on, the budget is doubted."""


def reply_problems(replies: Sequence[str]) -> list[str]:
    """What a user should know of all the answers of a run."""
    if replies and not any(reply.strip() for reply in replies):
        return [ALL_EMPTY.format(count=f"{len(replies):,}")]
    cut = sum(getattr(reply, "finish_reason", None) == "length" for reply in replies)
    if replies and cut >= MANY_CUT * len(replies):
        return [
            f"{cut:,} of {len(replies):,} answers were cut off at the budget of tokens. Give more room: "
            "--style reasoning or native, or --gen_kwargs max_gen_toks=N."
        ]
    return []


def check_budget(requests: Sequence[Request], model: Any) -> None:
    """Whether the longest prompt and the answer's budget go into the model's context.

    The harness would cut the prompt's beginning off, images and all.

    Raises:
        MISGroundError: if they do not.
    """
    longest, tokenizer = getattr(model, "max_length", None), getattr(model, "tokenizer", None)
    if not isinstance(longest, int) or tokenizer is None or hasattr(model, "_concurrent") or not requests:
        return
    budget = requests[0].args[1].get("max_gen_toks") or 0
    request = max(requests, key=lambda each: (len(images_of(each)), len(str(each.args[0]))))
    length = prompt_length(request, model) if longest > budget else len(model.tok_encode(str(request.args[0])))
    if length + budget > longest:
        raise MISGroundError(
            f"A prompt of {length:,} tokens and an answer of up to {budget:,} do not go into the model's context.",
            value=f"max_length {longest:,}",
            remedy=f"If the model takes more, say so: --model_args max_length={length + budget}; else give the answer "
            "less: --gen_kwargs max_gen_toks=N, or the images: max_pixels=N.",
        )


def prompt_length(request: Request, model: Any) -> int:
    """The tokens of a prompt, those of its images among them, as the model's own processor counts them."""
    prompt, images = request.args[0], images_of(request)
    encode = getattr(model, "tok_batch_multimodal_encode", None)
    if encode is None or not images:
        return len(model.tok_encode(str(prompt)))
    found = encode([prompt], [images])
    if not isinstance(found, Mapping):  # vLLM counts them itself later
        found = model.processor(text=[prompt], images=images, return_tensors="pt")
    return int(found["input_ids"].shape[1])


def probe_problems(found: Probe) -> list[str]:
    """What a user should know of a probe."""
    if found.same < found.asked:
        return []
    if found.empty == found.asked:
        return [ALL_EMPTY.format(count=f"{found.asked} trial")]
    text = f"All {found.asked} questions were answered the same with their image and with a blank one. "
    if found.reached is False:
        return [text + "The image does not reach the model: its logits are identical."]
    if found.reached:
        text += "The image does reach the model (its logits change), but the answers do not depend on it"
    else:
        text += "Either the image does not reach the model, or its answers do not depend on it"
    if found.different_answers == 1 and found.asked > 1:
        text += "; it answered the same to every one of these questions"
    return [text + "."]


def logits_differ(model: Any, one: Request, other: Request) -> bool | None:
    """Whether the logits of the first token differ between two requests; None if the model cannot tell.

    Works for the harness's ``hf-multimodal`` and what is made of it.
    """
    network, encode = getattr(model, "model", None), getattr(model, "tok_batch_multimodal_encode", None)
    if network is None or encode is None or not callable(network):
        return None
    import torch

    with torch.no_grad():
        first, second = (
            network(**encode([request.args[0]], [images_of(request)])).logits[:, -1] for request in (one, other)
        )
    return first.shape != second.shape or not torch.equal(first, second)


def _decided(request: Request, blank: bool) -> Request:
    """A copy of a request that is answered without drawing, and with blank images if asked for."""
    from PIL import Image

    prompt, generation, more = request.args
    images = images_of(request)
    if blank:
        images = [Image.new("RGB", image.size, (127, 127, 127)) for image in images]
    changed = copy.copy(request)
    changed.arguments = (prompt, {**generation, "do_sample": False, "temperature": 0.0}, {**more, "visual": images})
    return changed


@contextmanager
def _own_random_numbers() -> Iterator[None]:
    """What is drawn inside is not missing outside."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        yield
