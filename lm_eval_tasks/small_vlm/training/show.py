"""Figures for the README: ``python show.py RUN MODEL OUT`` writes ``curve.svg`` and ``answers.png``.

The answers are to phantoms of the test split, which the model has never seen: the first questions of their kinds that
come, whether they are answered rightly or not.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from lm_eval_tasks.small_vlm.training.held_out import Asked, Reader, directional, held_out_slices
from semsam.experiments.plot import Point, line_plot

WIDTH, LINE = 300, 17
LINES = {
    "directions": "direction",
    "naming (4 options)": "naming",
    "relations of three": "relation",
    "stacks (mostly 4 options)": "stack",
    "boxes by name (mean IoU)": "box, place, plain",
    "marked distances (within 15 %)": "distance, mm",
}


def curve(path: Path) -> str:
    """The learning curve as SVG: watched questions answered rightly, by step."""
    notes = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    notes = [note for note in notes if "naming" in note]
    lines = {
        name: [Point(note["step"], 100 * note[key], 100 * note[key], 100 * note[key]) for note in notes]
        for name, key in LINES.items()
    }
    return line_plot(lines, x_label="step", y_label="right, %", level=("coin", 50))


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most so many characters."""
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) + 1 > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def panel(asked: Asked, answer: str | None) -> np.ndarray:
    """An image with the question's last sentence, the answer and whether it is right."""
    shown = asked.image if asked.image.ndim == 3 else np.repeat(asked.image[..., None], 3, axis=2)
    shown = cv2.resize(shown, (WIDTH, WIDTH), interpolation=cv2.INTER_AREA)
    question = asked.question
    asks = question.question.splitlines()[0].split(". ")[-1]
    verdict = "right" if answer == question.answer else f"wrong: {question.answer}"
    lines = [*wrapped(f"{question.convention}. {asks}", 42), f"> {answer} ({verdict})"]
    text = np.full((6 * LINE, WIDTH, 3), 255, np.uint8)
    for number, line in enumerate(lines[-6:]):
        bold = 2 if number == len(lines) - 1 else 1
        cv2.putText(
            text, line, (4, LINE * (number + 1) - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 0, 0), bold, cv2.LINE_AA
        )
    return np.pad(np.concatenate([shown, text]), ((0, 0), (4, 4), (0, 0)), constant_values=255)


def answers(model: Path) -> np.ndarray:
    """Eight questions with the model's answers, RGB."""
    records, reader, asked = held_out_slices(), Reader(model), []
    for number, record in enumerate([*records[:4], *records[6:10]]):
        frame, prompt = ("patient", "image")[number % 2], ("box", "point", "mask", "box")[number % 4]
        convention = ("radiological", "ras")[number // 2 % 2]
        factors = {"prompt": [prompt], "frame": [frame], "convention": [convention], "register": ["clinical"]}
        asked.append(directional([record], 1, seed=number, input=["slice"], **factors)[0])
    replies = reader.answers(asked)
    panels = [panel(one, reply) for one, reply in zip(asked, replies, strict=True)]
    return np.concatenate([np.concatenate(panels[i : i + 4], axis=1) for i in (0, 4)])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("run", "model", "out"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "curve.svg").write_text(curve(given.run / "curve.jsonl"), encoding="utf-8")
    few_colours = Image.fromarray(answers(given.model)).quantize(
        255, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    few_colours.save(given.out / "answers.png", optimize=True)
