"""From prepared files to batches: several questions about an image share its tokens and do not see each other.

A sequence is the tokens of the images, then a segment a question: prompt and answer. A segment sees the images and
itself, and its positions count on from the images, so that each question is seen just as if it were asked alone.
"""

import json
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from lm_eval_tasks.small_vlm.training.model import MEAN, STD, TOKENS
from lm_eval_tasks.small_vlm.training.prepare import OF_IMAGE, OF_ITEM
from lm_eval_tasks.small_vlm.training.words import CLOSE, END, FIRST, NEXT, ids_of

Tokens = Sequence[int] | npt.NDArray[np.uint16]

IGNORED = -100
BLIND = -1
"""In place of a turn's number: the first turn without its image."""


@dataclass(frozen=True)
class Coordinates:
    """Tokens of boxes and points.

    Args:
        first, following: by hundredths of the image's side.
        end: those behind the last coordinate.
    """

    first: tuple[int, ...]
    following: tuple[int, ...]
    end: tuple[int, ...]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerFast) -> "Coordinates":
        """A tokenizer's."""
        first, following, end = (tuple(ids_of(tokenizer, texts)) for texts in (FIRST, NEXT, (CLOSE, END)))
        return cls(first, following, end)

    def tokens(self, place: npt.NDArray[np.float32]) -> tuple[int, ...]:
        """Of a place [2 or 4], shares of the image's side."""
        x, *rest = (round(100 * min(max(float(at), 0.0), 1.0)) for at in place)
        return (self.first[x], *(self.following[at] for at in rest), *self.end)


@dataclass(frozen=True)
class ReadyTurn:
    """A question as tokens: the prompt without its images; the answer with the end, or what comes before a place."""

    prompt: npt.NDArray[np.uint16]
    answer: tuple[int, ...]
    place: npt.NDArray[np.float32]
    group: str
    length: tuple[float, float]  # see `length_of`


@dataclass(frozen=True)
class Ready:
    """An item with its texts as tokens; ``images`` is a view into its volume's array."""

    subject: str
    kind: str
    images: npt.NDArray[np.uint8]
    markers: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]
    areas: npt.NDArray[np.float32]
    map: npt.NDArray[np.uint8]
    marked: npt.NDArray[np.uint8]
    midline: float
    turns: tuple[ReadyTurn, ...]
    blind: tuple[int, ...]  # the first turn's prompt as it is asked without an image


def load(path: Path, tokenizer: PreTrainedTokenizerFast) -> list[Ready]:
    """The items of one volume.

    Args:
        path: the ``.json`` of :mod:`prepare`; the ``.npz`` and ``.npy`` lie beside it.
    """
    notes = json.loads(path.read_text(encoding="utf-8"))
    arrays = np.load(path.with_suffix(".npz"))
    of_image, of_item = ({name: arrays[name] for name in names} for names in (OF_IMAGE, OF_ITEM))
    images = np.load(path.with_suffix(".npy"), mmap_mode="r")
    end, image = tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<image>")
    ready, first = [], 0
    texts = [turn for note in notes for turn in note["turns"]]
    prompts = iter(tokenizer([text["prompt"] for text in texts]).input_ids)
    answers = iter(tokenizer([text["answer"] for text in texts]).input_ids)
    blinds = iter(tokenizer([note["turns"][0]["prompt"].replace("<image>", "").strip() for note in notes]).input_ids)
    for number, note in enumerate(notes):
        turns = []
        for text in note["turns"]:
            prompt = np.array([token for token in next(prompts) if token != image], np.uint16)
            answer = (*next(answers), *(() if text["place"] else (end,)))
            place = np.array(text["place"], np.float32)
            turns.append(ReadyTurn(prompt, answer, place, text["group"], length_of(text["prompt"], text["answer"])))
        own = slice(first, first + note["images"])
        fields: dict[str, Any] = {name: array[own] for name, array in of_image.items()}
        fields |= {name: array[number] for name, array in of_item.items()}
        ready.append(
            Ready(path.stem, note["kind"], images[own], turns=tuple(turns), blind=tuple(next(blinds)), **fields)
        )
        first += note["images"]
    return ready


def length_of(prompt: str, answer: str) -> tuple[float, float]:
    """Logarithms of the length that is asked for, as a share of the image's width, and of a pixel's size in mm.

    NaN where the question states no such size or asks for something else.
    """
    stated = _PIXEL.search(prompt)
    if stated is None or not answer.endswith(" mm"):
        return math.nan, math.nan
    pixel_mm = float(stated[2])
    return math.log(float(answer.split()[0]) / pixel_mm / int(stated[1])), math.log(pixel_mm)


_PIXEL = re.compile(r"The image is (\d+) x \d+ pixels, and each pixel is ([\d.]+) mm")


@dataclass(frozen=True)
class Batch:
    """Tensors of one step; B items of n images each, L tokens a sequence at most.

    Args:
        pixels: float32 [B * n, 3, SIDE, SIDE], normalized.
        ids: int64 [B, L]; 0 where the tokens of images go, and behind a sequence's end.
        mask: bool [B, 1, L, L], True where a token may look.
        positions: int64 [B, L].
        targets: int64 [B, L]: the token that follows, at the places that an answer is read from.
        markers, boxes, areas, maps: float32 [B * n, 3, 2], [B * n, 3, 4], [B * n, 3], int64 [B * n, GRID, GRID].
        marked, midline: int64 [B, 3], float32 [B]; all six see :class:`items.Item`.
        starts: list of (item, turn, place in the sequence of the prompt's last token).
        places: float32 [starts, 4], the box or point that is asked for; NaN where none is.
        lengths: float32 [starts, 2], see `length_of`.
    """

    pixels: Tensor
    ids: Tensor
    mask: Tensor
    positions: Tensor
    targets: Tensor
    markers: Tensor
    boxes: Tensor
    areas: Tensor
    maps: Tensor
    marked: Tensor
    midline: Tensor
    starts: Sequence[tuple[int, int, int]]
    places: Tensor
    lengths: Tensor


def make_batch(
    items: Sequence[Ready],
    coordinates: Coordinates,
    draw: random.Random | None,
    most_turns: int = 4,
    shift: int = 0,
    blind: float = 0.0,
) -> Batch:
    """A batch of items with equally many images.

    Args:
        items: with equally many images.
        coordinates: tokens of the answers that are places.
        draw: which turns are taken, and how far the image is moved; the first turns and none if not given.
        most_turns: at most so many questions of an item.
        shift: most pixels that an image is moved, that is, its edge is cut off on one side.
        blind: share of the questions about directions that are asked without their image: nothing is to be learnt
            from them but that either option may be right.
    """
    each = len(items[0].images)
    count = each * TOKENS
    by = np.zeros((len(items), 2), int)
    if draw is not None and shift:
        by = np.array([_offset(item, draw, shift) for item in items])
    sequences: list[list[tuple[int, Tokens, tuple[int, ...]]]] = []
    asked_places, lengths = [], []
    for item, offset in zip(items, by, strict=True):
        if draw is not None and item.kind == "direction" and draw.random() < blind:
            sequences.append([(BLIND, item.blind, item.turns[0].answer)])
            asked_places.append(np.full(4, np.nan, np.float32))
            lengths.append((math.nan, math.nan))
            continue
        of_item = list(range(len(item.turns)))
        if draw is not None:
            draw.shuffle(of_item)
        texts: list[tuple[int, Tokens, tuple[int, ...]]] = []
        for number in of_item[:most_turns]:
            turn = item.turns[number]
            place = turn.place + np.resize(offset, len(turn.place)).astype(np.float32) / item.images.shape[1]
            texts.append((number, turn.prompt, (*turn.answer, *(coordinates.tokens(place) if len(place) else ()))))
            lengths.append(turn.length)
            asked_places.append(np.pad(place, (0, 4 - len(place)), constant_values=np.nan))
        sequences.append(texts)
    size = max(count + sum(len(prompt) + len(answer) - 1 for _, prompt, answer in of) for of in sequences)
    batch = len(items)
    ids = np.zeros((batch, size), np.int64)
    segments = np.full((batch, size), -1, np.int64)
    segments[:, :count] = 0
    positions = np.zeros((batch, size), np.int64)
    positions[:, :count] = np.arange(count)
    targets = np.full((batch, size), IGNORED, np.int64)
    starts = []
    for row, of_row in enumerate(sequences):
        at = count
        for segment, (number, prompt, answer) in enumerate(of_row, 1):
            tokens = (*prompt, *answer[:-1])
            ids[row, at : at + len(tokens)] = tokens
            segments[row, at : at + len(tokens)] = segment
            positions[row, at : at + len(tokens)] = (0 if number == BLIND else count) + np.arange(len(tokens))
            start = at + len(prompt) - 1
            targets[row, start : start + len(answer)] = answer
            starts.append((row, number, start))
            at += len(tokens)
    causal = np.tril(np.ones((size, size), bool))
    same = (segments[:, :, None] == segments[:, None, :]) | (segments[:, None, :] == 0)
    mask = causal[None] & same
    unseen = np.array([of_row[0][0] == BLIND for of_row in sequences])
    mask[unseen, count:, :count] = False
    mask |= np.eye(size, dtype=bool)[None]  # padding sees itself, or the softmax would be over nothing
    markers, boxes, areas, maps = (np.concatenate([getattr(item, name) for item in items]) for name in OF_IMAGE)
    marked = np.stack([item.marked for item in items]).astype(np.int64)
    midline = np.array([item.midline for item in items], np.float32)
    images = _moved(np.stack([item.images for item in items]), by)
    grid = maps.shape[1]
    cells = np.rint(by * grid / images.shape[2]).astype(int)
    maps = _moved(maps.reshape(batch, each, grid, grid), cells).reshape(-1, grid, grid)
    shares = np.repeat(by, each, axis=0).astype(np.float32) / images.shape[2]
    markers, boxes = markers + shares[:, None], (boxes + np.tile(shares, 2)[:, None]).clip(0, 1)
    midline += by[:, 0].astype(np.float32) / images.shape[2]
    unseen_images = np.repeat(unseen, each)
    markers[unseen_images], boxes[unseen_images], midline[unseen], marked[unseen] = np.nan, np.nan, np.nan, 0
    pixels = torch.from_numpy(images.reshape(-1, *images.shape[2:])).permute(0, 3, 1, 2).float().div_(255)
    pixels = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    return Batch(
        pixels.contiguous(),
        torch.from_numpy(ids),
        torch.from_numpy(mask)[:, None],
        torch.from_numpy(positions),
        torch.from_numpy(targets),
        torch.from_numpy(markers),
        torch.from_numpy(boxes),
        torch.from_numpy(areas),
        torch.from_numpy(maps.astype(np.int64)),
        torch.from_numpy(marked),
        torch.from_numpy(midline),
        starts,
        torch.from_numpy(np.stack(asked_places).astype(np.float32)),
        torch.tensor(lengths, dtype=torch.float32),
    )


def _offset(item: Ready, draw: random.Random, most: int) -> tuple[int, int]:
    """By how many pixels an item's images are moved to the right and down; no marker leaves them."""
    side = item.images.shape[1]
    marked = item.markers[~np.isnan(item.markers[..., 0])]
    offsets = []
    for axis in range(2):
        low = int(-marked[:, axis].min() * side) + 4 if len(marked) else -most
        high = side - int(marked[:, axis].max() * side) - 4 if len(marked) else most
        offsets.append(min(max(draw.randint(-most, most), min(low, 0)), max(high, 0)))
    return offsets[0], offsets[1]


def _moved(images: npt.NDArray[np.uint8], by: npt.NDArray[np.int_]) -> npt.NDArray[np.uint8]:
    """Images [B, n, S, S, ...], those of each item moved by (x, y) pixels."""
    moved, side = np.zeros_like(images), images.shape[2]
    for row, (x, y) in enumerate(by):
        to_y, from_y = slice(max(0, y), side + min(0, y)), slice(max(0, -y), side + min(0, -y))
        to_x, from_x = slice(max(0, x), side + min(0, x)), slice(max(0, -x), side + min(0, -x))
        moved[row, :, to_y, to_x] = images[row, :, from_y, from_x]
    return moved
