"""From prepared files to batches: several questions about a picture share its tokens and do not see each other.

A sequence is the tokens of the pictures, then a segment a question: prompt and answer. A segment sees the pictures and
itself, and its positions count on from the pictures, so that each question is seen just as if it were asked alone.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from transformers import PreTrainedTokenizerFast

from lm_eval_tasks.small_vlm.training.model import MEAN, STD, TOKENS

IGNORED = -100
BLIND = -1
"""In place of a turn's number: the first turn without its picture."""


@dataclass(frozen=True)
class Ready:
    """An item with its texts as tokens; ``pictures`` is a view into its volume's array."""

    subject: str
    kind: str
    pictures: npt.NDArray[np.uint8]
    places: npt.NDArray[np.float32]
    map: npt.NDArray[np.uint8]
    marked: npt.NDArray[np.uint8]
    midline: float
    images: npt.NDArray[np.int8]
    turns: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]  # (prompt without its pictures, answer with the end)
    texts: tuple[tuple[str, str], ...]
    blind: tuple[int, ...]  # the first turn's prompt as it is asked without a picture


def load(path: Path, tokenizer: PreTrainedTokenizerFast) -> list[Ready]:
    """The items of one volume.

    Args:
        path: the ``.json`` of :mod:`prepare`; the ``.npz`` and ``.npy`` lie beside it.
    """
    notes = json.loads(path.read_text(encoding="utf-8"))
    arrays = np.load(path.with_suffix(".npz"))
    fields = {name: arrays[name] for name in ("places", "map", "marked", "midline", "images")}
    pictures = np.load(path.with_suffix(".npy"), mmap_mode="r")
    end, image = tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<image>")
    ready, first = [], 0
    for number, note in enumerate(notes):
        turns = []
        for prompt, answer in note["turns"]:
            ids = [token for token in tokenizer(prompt).input_ids if token != image]
            turns.append((tuple(ids), (*tokenizer(answer).input_ids, end)))
        own = pictures[first : first + note["pictures"]]
        texts = tuple((prompt, answer) for prompt, answer in note["turns"])
        blind = texts[0][0].replace("<image>", "").strip() if texts else ""
        ids = tuple(tokenizer(blind).input_ids)
        of_item = {name: array[number] for name, array in fields.items()}
        ready.append(Ready(path.stem, note["kind"], own, turns=tuple(turns), texts=texts, blind=ids, **of_item))
        first += note["pictures"]
    return ready


@dataclass(frozen=True)
class Batch:
    """Tensors of one step; B items of n pictures each, L tokens a sequence at most.

    Args:
        pixels: float32 [B * n, 3, SIDE, SIDE], normalised.
        ids: int64 [B, L]; 0 where the tokens of pictures go, and behind a sequence's end.
        mask: bool [B, 1, L, L], True where a token may look.
        positions: int64 [B, L].
        targets: int64 [B, L]: the token that follows, at the places that an answer is read from.
        places, maps, marked, midline, images: float32 [B, 3, 2], int64 [B, GRID, GRID], int64 [B, 3], float32 [B],
            int64 [B, 3, 3], see :class:`items.Item`.
        starts: list of (item, turn, place in the sequence of the prompt's last token).
    """

    pixels: torch.Tensor
    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    targets: torch.Tensor
    places: torch.Tensor
    maps: torch.Tensor
    marked: torch.Tensor
    midline: torch.Tensor
    images: torch.Tensor
    starts: Sequence[tuple[int, int, int]]


def make_batch(
    items: Sequence[Ready], draw: random.Random | None, most_turns: int = 4, shift: int = 0, blind: float = 0.0
) -> Batch:
    """A batch of items with equally many pictures.

    Args:
        draw: which turns are taken, and how far the picture is moved; the first turns and none if not given.
        shift: most pixels that a picture is moved, that is, its edge is cut off on one side.
        blind: share of the questions about directions that are asked without their picture: nothing is to be learnt
            from them but that either option may be right.
    """
    count = len(items[0].pictures) * TOKENS
    sequences = []
    for item in items:
        if draw is not None and item.kind == "direction" and draw.random() < blind:
            sequences.append([BLIND])
            continue
        of_item = list(range(len(item.turns)))
        if draw is not None:
            draw.shuffle(of_item)
        sequences.append(of_item[:most_turns])
    lengths = [
        count + sum(len(prompt) + len(answer) - 1 for prompt, answer in (_texts(i, t) for t in of))
        for i, of in zip(items, sequences, strict=True)
    ]
    size = max(lengths)
    batch = len(items)
    ids = np.zeros((batch, size), np.int64)
    segments = np.full((batch, size), -1, np.int64)
    segments[:, :count] = 0
    positions = np.zeros((batch, size), np.int64)
    positions[:, :count] = np.arange(count)
    targets = np.full((batch, size), IGNORED, np.int64)
    starts = []
    for row, (item, of_item) in enumerate(zip(items, sequences, strict=True)):
        at = count
        for segment, number in enumerate(of_item, 1):
            prompt, answer = _texts(item, number)
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
    unseen = np.array([of == [BLIND] for of in sequences])
    mask[unseen, count:, :count] = False
    mask |= np.eye(size, dtype=bool)[None]  # padding sees itself, or the softmax would be over nothing
    pictures = np.concatenate([item.pictures for item in items])
    places = np.stack([item.places for item in items])
    midline = np.array([item.midline for item in items], np.float32)
    marked = np.stack([item.marked for item in items]).astype(np.int64)
    images = np.stack([item.images for item in items]).astype(np.int64)
    places[unseen], midline[unseen], marked[unseen], images[unseen] = np.nan, np.nan, 0, -1
    if draw is not None and shift:
        pictures, places, moved_by = _moved(pictures, places, draw, shift, len(items[0].pictures))
        midline += moved_by
    pixels = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(255)
    pixels = (pixels - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None]
    return Batch(
        pixels.contiguous(),
        torch.from_numpy(ids),
        torch.from_numpy(mask)[:, None],
        torch.from_numpy(positions),
        torch.from_numpy(targets),
        torch.from_numpy(places),
        torch.from_numpy(np.stack([item.map for item in items]).astype(np.int64)),
        torch.from_numpy(marked),
        torch.from_numpy(midline),
        torch.from_numpy(images),
        starts,
    )


def _texts(item: Ready, turn: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return (item.blind, item.turns[0][1]) if turn == BLIND else item.turns[turn]


def _moved(
    pictures: npt.NDArray[np.uint8], places: npt.NDArray[np.float32], draw: random.Random, most: int, each: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Pictures and places, each moved by a draw of its own, and how far to the right, as a share of the side."""
    moved, places, by = np.zeros_like(pictures), places.copy(), np.zeros(len(places), np.float32)
    side = pictures.shape[1]
    for row in range(len(places)):
        # No marker leaves the picture.
        marked = places[row][~np.isnan(places[row][:, 0])]
        offsets = []
        for axis in range(2):
            low = int(-marked[:, axis].min() * side) + 4 if len(marked) else -most
            high = side - int(marked[:, axis].max() * side) - 4 if len(marked) else most
            offsets.append(min(max(draw.randint(-most, most), min(low, 0)), max(high, 0)))
        x, y = offsets
        own = slice(row * each, (row + 1) * each)
        to_y, from_y = slice(max(0, y), side + min(0, y)), slice(max(0, -y), side + min(0, -y))
        to_x, from_x = slice(max(0, x), side + min(0, x)), slice(max(0, -x), side + min(0, -x))
        moved[own, to_y, to_x] = pictures[own, from_y, from_x]
        places[row] += np.array([x, y], np.float32) / side
        by[row] = x / side
    return moved, places, by
