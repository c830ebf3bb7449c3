"""A chat server whose answers depend on the text and the pixels of a request and on nothing else.

``talker`` says what models say in many ways: bare, in a sentence, in Markdown, after thinking, as JSON, in no readable
way, refusing, cut off. ``small`` is the package's small vision-language model. Equal requests get equal answers,
whatever harness sends them and in whatever order, so that a pixel or a word that a harness changes changes answers.
"""

import base64
import hashlib
import io
import json
import random
import threading
from functools import cached_property
from typing import Any
from urllib.parse import unquote, urlparse

from PIL import Image

from lm_eval_tasks.small_vlm import model_folder
from tests.helpers.chat_server import ChatServer, contents

CHOICE = (
    "{option}",
    "{option}.",
    "**{option}**",
    "Answer: {option}",
    "The answer is {option}.",
    "It is not {other}. The final answer is: {option}",
    "<think>It may be {other}. No.</think>\n{option}",
    '{{"answer": "{option}"}}',
    "I'm sorry, but I can't help with medical images.",
    "I cannot tell from this image.",
    "{option} or {other}",
    "N/A",
)
PLACES = (
    "{form}",
    "The bounding box is {form}.",
    '{{"bbox_2d": {form}}}',
    "```json\n{form}\n```",
    "I see nothing there.",
)
NUMBERS = ("{n} mm", "{n}", "About {n} mm.", "**{n} mm**", "It cannot be measured.")
CUT = "The image shows a slice of the trunk, in which I can see the"


def decoded(url: str) -> Image.Image:
    """The image of a request: as data, or a file on this machine."""
    if url.startswith("file://"):
        return Image.open(unquote(urlparse(url).path)).convert("RGB")
    return Image.open(io.BytesIO(base64.b64decode(url.split(",", 1)[1]))).convert("RGB")


def parts_of(sent: dict[str, Any]) -> tuple[str, list[Image.Image]]:
    """The text and the images of a request; images must stand before the text."""
    text, images = "", []
    for part in contents(sent):
        if part["type"] == "text":
            text += part["text"]
        else:
            assert not text, "an image follows the text"
            images.append(decoded(part["image_url"]["url"]))
    return text, images


def key_of(text: str, images: list[Image.Image]) -> tuple[str, ...]:
    """The text and a hash of the pixels of each image."""
    return (text, *(hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()[:16] for image in images))


def talk(key: tuple[str, ...], truth: str) -> tuple[str, str]:
    """An answer and why it ended, drawn by what was asked.

    Args:
        key: what was asked.
        truth: what half of the positions and numbers that it gives are; "" if it is not known.
    """
    text = key[0]
    draw = random.Random("".join(key))
    if draw.random() < 0.04:
        return CUT, "length"
    listed = [line for line in text.split("\n") if line.startswith("Options: ")]
    if listed:
        option, other = draw.sample(listed[-1].removeprefix("Options: ").split("; "), 2)
        return draw.choice(CHOICE).format(option=option, other=other), "stop"
    knows = bool(truth) and draw.random() < 0.5
    if "millimetres" in text or "degrees" in text or "with the number" in text:
        return draw.choice(NUMBERS).format(n=truth if knows else round(draw.uniform(5, 150), 1)), "stop"
    count = 4 if "bounding box" in text else 2
    numbers = [draw.randint(0, 90) for _ in range(2)] + [draw.randint(40, 128) for _ in range(2)]
    form = truth if knows else json.dumps(numbers[:count])
    return draw.choice(PLACES).format(form=form if knows or "image N" not in text else f"image 1: {form}"), "stop"


class AnsweringServer(ChatServer):
    """Answers as ``talker`` or ``small``; ``seen`` holds what was asked, and ``answers`` what was answered.

    Args:
        truths: right positions and numbers as they are to be written, by the text of the question.
    """

    answers: dict[tuple[str, tuple[str, ...]], tuple[str, str]] = {}  # noqa: RUF012 - all servers answer alike

    def __init__(self, truths: dict[str, str] | None = None) -> None:
        super().__init__()
        self._truths = truths or {}
        self.seen: set[tuple[str, ...]] = set()
        self._model_lock = threading.Lock()

    def reply(self, sent: dict[str, Any], path: str) -> tuple[int, Any, dict[str, str]]:
        """As the base class."""
        text, images = parts_of(sent)
        key = key_of(text, images)
        name = sent["model"].rsplit("/", 1)[-1]
        with self._model_lock:
            self.seen.add(key)
            if (name, key) not in self.answers:
                talker, truth = name == "talker", self._truths.get(text, "")
                self.answers[name, key] = talk(key, truth) if talker else small_model().answer(text, images)
        answer, ending = self.answers[name, key]
        choice = {"index": 0, "message": {"role": "assistant", "content": answer}, "finish_reason": ending}
        usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10}
        body = {
            "id": "c",
            "object": "chat.completion",
            "created": 0,
            "model": name,
            "choices": [choice],
            "usage": usage,
        }
        return 200, body, {}


class SmallModel:
    """The small model of the package."""

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import AutoModelForImageTextToText, AutoProcessor

        folder = model_folder()
        return AutoProcessor.from_pretrained(folder), AutoModelForImageTextToText.from_pretrained(folder).eval()

    def answer(self, text: str, images: list[Image.Image]) -> tuple[str, str]:
        """Its greedy answer."""
        import torch

        processor, model = self._loaded
        prompt = "<image>" * len(images) + text
        inputs = processor(images=images or None, text=prompt, return_tensors="pt")
        with torch.inference_mode():
            found = model.generate(**inputs, do_sample=False, max_new_tokens=24)
        new = found[0, inputs["input_ids"].shape[1] :]
        return processor.decode(new, skip_special_tokens=True).strip(), "stop"


_SMALL = SmallModel()


def small_model() -> SmallModel:
    """The small model, loaded once."""
    return _SMALL
