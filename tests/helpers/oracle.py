"""A harness model that solves directional questions with nothing but the images and the text of the question.

It finds the markers of A and B by their colours, reads in the question how the image is shown and what is asked, and
compares the two positions. It knows nothing of the data set's other columns. What an image and its question cannot
tell, it does not answer: medial and lateral need the body's midline, or in a knee which side's it is.
"""

import random
import re
from collections import defaultdict
from typing import Any

import cv2
import numpy as np
from lm_eval.api.model import LM
from lm_eval.api.registry import register_model
from PIL import Image, ImageOps
from scipy.ndimage import binary_fill_holes

from dataset_builder.pictures.render import MARKER_COLOURS

# What the words mean: a patient axis, and which way along it.
RIGHT, ANTERIOR, SUPERIOR = np.eye(3)
WORDS = {
    "right": RIGHT,
    "left": -RIGHT,
    "anterior": ANTERIOR,
    "in front": ANTERIOR,
    "posterior": -ANTERIOR,
    "behind": -ANTERIOR,
    "superior": SUPERIOR,
    "toward the head": SUPERIOR,
    "inferior": -SUPERIOR,
    "toward the feet": -SUPERIOR,
    # asked of legs only, which hang down from the trunk in every scan
    "proximal": SUPERIOR,
    "nearer the trunk": SUPERIOR,
    "distal": -SUPERIOR,
    "farther from the trunk": -SUPERIOR,
}
EDGES = {
    "the patient's right": RIGHT,
    "the patient's left": -RIGHT,
    "anterior": ANTERIOR,
    "the front of the body": ANTERIOR,
    "posterior": -ANTERIOR,
    "the back of the body": -ANTERIOR,
    "superior": SUPERIOR,
    "toward the head": SUPERIOR,
    "inferior": -SUPERIOR,
    "toward the feet": -SUPERIOR,
}
IN_IMAGE = {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "below": (0, 1)}
"""Steps (x, y) in pixels; y grows downward."""


def position(image: Image.Image, letter: str) -> np.ndarray:
    """Where the marker of a letter is: mean (x, y) of what its pixels enclose."""
    colour = MARKER_COLOURS[letter]
    drawn = cv2.inRange(np.asarray(image), colour, colour)
    x, y, width, height = cv2.boundingRect(drawn)
    enclosed = binary_fill_holes(drawn[y : y + height, x : x + width])
    return np.add(np.argwhere(enclosed).mean(axis=0)[::-1], (x, y))


def patient_axes(question: str) -> tuple[np.ndarray, np.ndarray]:
    """The patient's directions toward the right and toward the bottom of the image, as the question states them."""
    (left, top), *_ = re.findall(r"the left edge of the image is ([^,]+), the top edge is ([^.]+)\.", question)
    right, down = -EDGES[left], -EDGES[top]
    if re.search("mirrored left to right|flipped left to right", question):
        return -right, down
    if re.search("rotated by 90 degrees clockwise|a quarter turn clockwise", question):
        return -down, right  # what was at the bottom is on the left now, what was on the right is at the bottom
    if re.search("rotated by 180 degrees|by half a turn", question):
        return -right, -down
    assert "After that" not in question
    assert "Then the image" not in question
    return right, down


def solve(question: str, image: Image.Image) -> str:
    """The option that the image shows to be right; nothing if it cannot be told."""
    listed = re.findall(r"^Options: (.*)$", question, re.MULTILINE)[-1].split("; ")
    asked = re.findall(r"[^.?]*\?", question)[-1]
    of_image, of_patient = ("image" in asked), ("patient" in asked or "Anatomically" in asked)
    assert of_image != of_patient, asked
    step = position(image, "A") - position(image, "B")
    if of_image:
        toward = {option: np.dot(IN_IMAGE[option], step) for option in listed}
    elif all(option in WORDS for option in listed):
        right, down = patient_axes(question)
        moved = step[0] * right + step[1] * down  # from B to A in the patient
        toward = {option: np.dot(WORDS[option], moved) for option in listed}
    else:
        return ""
    return max(toward, key=toward.__getitem__)


ENDS = EDGES | {"the head end": SUPERIOR, "the foot end": -SUPERIOR}


def solve_stack(question: str, images: list[Image.Image]) -> str:
    """The option that the images of a stack show to be right; nothing if they cannot tell.

    The order of the images must be stated: whatever else tells it, the markers do not.
    """
    listed = re.findall(r"^Options: (.*)$", question, re.MULTILINE)[-1].split("; ")
    asked = re.findall(r"[^.?]*\?", question)[-1]
    seen = [np.asarray(image) for image in images]
    drawn = {
        letter: [cv2.countNonZero(cv2.inRange(image, MARKER_COLOURS[letter], MARKER_COLOURS[letter])) for image in seen]
        for letter in "ABC"
    }
    shown = [number for number, pixels in enumerate(drawn["A"], 1) if pixels]
    if "first" in asked and "image" in asked and not re.search("[Gg]oing from|From ", asked):
        return f"image {min(shown)}"
    if "last" in asked and all(option.startswith("image") for option in listed):
        return f"image {max(shown)}"
    if all(option.startswith("image") for option in listed):
        return ""  # the largest area: a box or a dot does not show it
    stated = re.search(r"numbered 1 to \d+,?(?: going)? from (.+?) to (.+?)\.", question)
    if stated is None:
        return ""
    toward_last = ENDS[stated[2]]
    centre = {letter: np.average(np.arange(len(of)), weights=of) for letter, of in drawn.items() if any(of)}
    if len(centre) == 3:
        first, last = re.search(r"[Ff]rom (.+?) to (.+?)[?,]", asked).groups()
        rising = np.dot(ENDS[last], toward_last) > 0
        assert np.dot(ENDS[first], ENDS[last]) < 0
        return ", ".join(sorted(centre, key=lambda letter: centre[letter] if rising else -centre[letter]))
    moved = (centre["A"] - centre["B"]) * toward_last
    return max(listed, key=lambda option: np.dot(WORDS[option], moved))


@register_model("mis-ground-oracle")
class Oracle(LM):
    """Sees the images as a model does.

    Args:
        images: ``own``; or to see it fail: ``partner`` gives the two questions of a pair each other's image,
            ``shuffled`` gives each question one of its leaf at random, ``mirrored`` its own mirrored left to right,
            ``reversed`` those of a stack from the last to the first.
    """

    MULTIMODAL = True

    def __init__(self, images: str = "own", **_: Any) -> None:
        super().__init__()
        self.images = images

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        shown = [request.args[2]["visual"] for request in requests]
        if any(len(images) > 1 for images in shown):
            return [self._of_stack(request.args[0], request.args[2]["visual"]) for request in requests]
        seen = [images[0].convert("RGB") for images in shown]
        if self.images == "mirrored":
            seen = [ImageOps.mirror(image) for image in seen]
        elif self.images != "own":
            seen = [seen[other] for other in self._exchange([request.task_name for request in requests])]
        answers = []
        for request, image in zip(requests, seen, strict=True):
            assert request.args[0].count("<image>") == 1
            answers.append(solve(request.args[0], image) if "marked A" in request.args[0] else "")
        return answers

    def _of_stack(self, prompt: str, images: list[Image.Image]) -> str:
        assert prompt.count("<image>") == len(images)
        seen = [image.convert("RGB") for image in images]
        if self.images == "reversed":
            seen = seen[::-1]
        return solve_stack(prompt, seen) if "marked A" in prompt or "structure A" in prompt else ""

    def _exchange(self, leaves: list[str]) -> list[int]:
        members: dict[str, list[int]] = defaultdict(list)
        for number, leaf in enumerate(leaves):
            members[leaf].append(number)
        taken = list(range(len(leaves)))
        for own in members.values():
            others = own.copy()
            if self.images == "partner":  # the two of a pair stand side by side
                others = [own[number ^ 1] for number in range(len(own))]
            else:
                random.Random(0).shuffle(others)
            for number, other in zip(own, others, strict=True):
                taken[number] = other
        return taken

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
        raise NotImplementedError

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> Any:
        raise NotImplementedError

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        return "\n".join(turn["content"] for turn in chat_history)

    @property
    def tokenizer_name(self) -> str:
        return "mis-ground-oracle"
