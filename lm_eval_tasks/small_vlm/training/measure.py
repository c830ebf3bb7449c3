"""What MIS-SemSam does to the small model: ``python measure.py MODEL DATASET OUT [--tasks TASKS]``.

Answers of the small model are one token and an end. So one look at each question, the model's logits behind the
prompt, says what every setting of the rule makes of it, and exactly: of greedy decoding the answer, of sampling at a
temperature the probability of the right one. ``OUT/decodings.md`` has the table; ``OUT/logits.npz`` keeps the logits.
``python -m semsam sweep`` gives the same through the harness, a run a setting.

Probabilities are over all tokens: the harness's sampling cuts off those below the fifty likeliest, which together have
next to none.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from lm_eval.tasks import TaskManager
from transformers import AutoModelForImageTextToText, AutoProcessor

from cluster_statistics import paired_difference
from lm_eval_tasks.mis_ground.utils import doc_to_text, extract_answer
from lm_eval_tasks.running.evaluate import TASKS
from semsam import neighbours
from semsam.rescoring import rescore
from semsam.settings import Settings

BATCH = 32
TEMPERATURE = 0.7
OFF = Settings(strength=0)


def look(folder: str, dataset: str, tasks: Sequence[str], out: Path) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Logits [N, V] behind each prompt, and the questions; kept in ``out``."""
    if (out / "logits.npz").exists():
        notes = json.loads((out / "questions.json").read_text(encoding="utf-8"))
        return np.load(out / "logits.npz")["logits"], notes
    manager = TaskManager(include_path=str(TASKS), include_defaults=False, metadata={"dataset": dataset})
    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto").eval()
    found, notes = [], []
    for name, task in sorted(manager.load(list(tasks))["tasks"].items()):
        documents = [document for document in task.test_docs() if not document.get("empty")]
        for first in range(0, len(documents), BATCH):
            some = documents[first : first + BATCH]
            images = [image.convert("RGB") for document in some for image in document["images"]]
            given = processor(images=images, text=[doc_to_text(d) for d in some], padding=True, return_tensors="pt")
            with torch.inference_mode():
                found.append(model(**given, logits_to_keep=1).logits[:, -1].float().numpy())
            notes += [{k: v for k, v in d.items() if k != "images"} | {"task": name} for d in some]
        print(name, len(documents), flush=True)
    logits = np.concatenate(found)
    out.mkdir(parents=True, exist_ok=True)
    (out / "questions.json").write_text(json.dumps(notes, default=str), encoding="utf-8")
    np.savez_compressed(out / "logits.npz", logits=logits)
    return logits, notes


class Scorer:
    """Says of every setting how likely each question is answered rightly.

    Args:
        logits: [N, V].
        questions: the documents.
        folder: of the model.
    """

    def __init__(self, logits: np.ndarray, questions: Sequence[Mapping[str, Any]], folder: str) -> None:
        self.logits = torch.from_numpy(logits)
        self.questions = questions
        self.processor = AutoProcessor.from_pretrained(folder)
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype="auto")
        texts = [self.processor.tokenizer.decode([token]) for token in range(logits.shape[1])]
        read: dict[tuple[str, ...], np.ndarray] = {}
        self.right = np.zeros(logits.shape, bool)
        for row, question in enumerate(questions):
            options = tuple(sorted(question["options"]))
            if options not in read:
                # The question's text only matters for names that it shares with longer ones; a token stands alone.
                read[options] = np.array([extract_answer(text, options) or "" for text in texts])
            self.right[row] = read[options] == question["answer"]

    def scores(self, settings: Settings, temperature: float) -> np.ndarray:
        """[N]: the probability of a right answer; 0 or 1 at temperature 0."""
        logits = self.logits
        if settings.strength:
            tables = neighbours.for_model(self.model, self.processor.tokenizer, settings)
            logits = rescore(
                logits, tables, settings.top_m, settings.top_p, mode=settings.mode, strength=settings.strength
            )
        if temperature == 0:
            return self.right[np.arange(len(logits)), logits.argmax(1).numpy()].astype(float)
        return (torch.softmax(logits / temperature, 1).numpy() * self.right).sum(1)

    def acted(self, settings: Settings) -> float:
        """The share of questions at which the rule did not defer."""
        tables = neighbours.for_model(self.model, self.processor.tokenizer, settings)
        after = rescore(self.logits, tables, settings.top_m, settings.top_p)
        return float((after != self.logits).any(1).float().mean())


def pairs_of(questions: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Rows of the two questions of each whole pair."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for row, question in enumerate(questions):
        if question["pair_id"]:
            found[question["task"], question["pair_id"]].append(row)
    return [(rows[0], rows[1]) for rows in found.values() if len(rows) == 2]


def table(scorer: Scorer) -> str:
    """All settings beside plain decoding, greedy and at the temperature; intervals by volume."""
    pairs = pairs_of(scorer.questions)
    first, second = (np.array(side) for side in zip(*pairs, strict=True))
    volumes = [f"{question['source']}/{question['subject']}" for question in scorer.questions]
    lines = [
        f"{len(scorer.questions):,} questions ({len(pairs):,} pairs) about {len(set(volumes))} volumes. Per cent; "
        "differences from plain decoding with 95 % intervals, paired by question, by volume.",
        "",
        "| decoding | K | M | top-p | acted | acc, greedy | difference | pair_acc, greedy | difference "
        f"| acc, T {TEMPERATURE} | difference | pair_acc, T {TEMPERATURE} | difference |",
        "|" + "---|" * 13,
    ]
    plain = {heat: scorer.scores(OFF, heat) for heat in (0, TEMPERATURE)}
    # With one neighbour the rule is nothing but the cut at M and top-p: what is beyond that is the neighbours' doing.
    settings = [OFF, *(Settings(k=1, top_p=top_p) for top_p in (0.5, 0.8, 0.95, 0.99))]
    guards: tuple[Literal["none", "antonyms"], ...] = ("none", "antonyms")
    settings += [Settings(k=k, guard=g) for g, k in product(guards, (2, 4, 8, 16, 32))]
    settings += [Settings(top_m=m, top_p=p, guard=g) for g in guards for m, p in OTHER]
    settings += [Settings(mode="sample", guard=g) for g in guards]
    for one in settings:
        if one.strength == 0:
            cells = ["plain", "", "", "", ""]
        else:
            name = "cut only" if one.k == 1 else "published" if one.guard == "none" else "antonym guard"
            name += ", softmax of the scores" if one.mode == "sample" else ""
            cells = [name, str(one.k), str(one.top_m), f"{one.top_p:g}", f"{100 * scorer.acted(one):.1f}"]
        for heat in (0, TEMPERATURE):
            scores = scorer.scores(one, heat)
            both, both_plain = scores[first] * scores[second], plain[heat][first] * plain[heat][second]
            of_pair = [volumes[row] for row in first]
            for now, before, clusters in ((scores, plain[heat], volumes), (both, both_plain, of_pair)):
                difference = "" if one.strength == 0 else str(paired_difference(list(before), list(now), clusters))
                cells += [f"{100 * now.mean():.1f}", difference]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


OTHER = ((2, 0.95), (5, 0.95), (50, 0.5), (50, 0.8), (50, 0.99), (50, 1.0))
"""M and top-p besides the defaults, with the default K."""


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model")
    parser.add_argument("dataset")
    parser.add_argument("out", type=Path)
    parser.add_argument("--tasks", default="mis_ground_tag_directional,mis_ground_tag_anatomical")
    given = parser.parse_args()
    scorer = Scorer(*look(given.model, given.dataset, given.tasks.split(","), given.out), given.model)
    text = table(scorer)
    (given.out / "decodings.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
