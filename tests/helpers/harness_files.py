"""Result and sample files as the harness writes them, from rows and a function that answers."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from lm_eval_tasks.mis_ground.metrics import process_results
from lm_eval_tasks.mis_ground.reading import READER_VERSION

Row = dict[str, Any]

PAIRS = (("superior", "inferior"), ("right", "left"))
LAY = {"superior": "toward the head", "inferior": "toward the feet", "right": "right", "left": "left"}
ORGANS = ("liver", "spleen", "aorta", "stomach")


def factorial_rows(volumes: int = 6, facts: int = 3, prior: bool = False) -> list[Row]:
    """Every fact in both registers and conventions with two prompts, and its inverse; and naming questions."""
    rows = []
    for volume, fact in product(range(volumes), range(facts)):
        for prompt, register, convention in product(("none", "box"), ("clinical", "lay"), ("radiological", "ras")):
            terms = PAIRS[fact % 2]
            options = [LAY[term] if register == "lay" else term for term in terms]
            for member in (0, 1):
                structures = ["liver", "spleen"][:: 1 - 2 * member]
                rows.append(
                    row(
                        f"v{volume}f{fact}-{prompt}-{register}-{convention}",
                        member,
                        fact_id=f"v{volume}f{fact}",
                        subject=f"s{volume}",
                        prompt=prompt,
                        register=register,
                        convention=convention,
                        options=options,
                        answer_index=member,
                        relation=terms[member],
                        structures=structures,
                        margin_mm=5.0 + 12 * fact,
                        **({"prior_answer": options[0]} if prior else {}),
                    )
                )
        for member in (0, 1):
            name = f"v{volume}n{fact}"
            rows.append(
                row(
                    f"{name}-box",
                    member,
                    fact_id=name,
                    subject=f"s{volume}",
                    terminology="anatomical",
                    prompt="box",
                    options=list(ORGANS),
                    answer_index=member,
                    relation=ORGANS[member],
                    structures=[ORGANS[member]],
                    **({"prior_answer": ""} if prior else {}),
                )
            )
    return rows


def row(pair: str, member: int, **changes: Any) -> Row:
    """One row without its image."""
    values = {
        "id": f"{pair}-{member}",
        "pair_id": pair,
        "fact_id": pair,
        "terminology": "directional",
        "prompt": "box",
        "register": "clinical",
        "convention": "radiological",
        "frame": "patient",
        "input": "slice",
        "modality": "ct",
        "plane": "coronal",
        "options": ["right", "left"],
        "answer_index": member,
        "relation": "right",
        "structures": ["liver", "spleen"],
        "boxes": [[4, 8, 20, 30], [40, 10, 60, 22]],
        "points": [[12, 16], [50, 16]],
        "source": "hand",
        "subject": "s0",
        "slice_index": [3],
        "pixel_mm": 1.0,
        "oblique_degrees": 0.0,
        "window": "soft tissue W400 L40",
        "margin_mm": 20.0,
        "licence": "CC0-1.0",
        "version": "2.0.0",
    } | changes
    values["answer"] = values["options"][values["answer_index"]]
    values.setdefault(
        "question",
        f"This is a {values['plane']} CT slice. Where is A from B, in {pair}?\nOptions: {'; '.join(values['options'])}",
    )
    return values


def image_hash(identity: str) -> str:
    """A hash for the image of a row that has none."""
    return hashlib.sha256(identity.encode()).hexdigest()


def luck(*words: object) -> float:
    """A number between 0 and 1 that looks random and is always the same."""
    return int(hashlib.sha256(repr(words).encode()).hexdigest()[:12], 16) / 16**12


def write_run(
    folder: Path,
    rows: list[Row],
    reply: Callable[[Row], str],
    *,
    blind: bool = False,
    model: str = "hf-multimodal",
    model_args: dict[str, Any] | None = None,
    date: str = "2026-01-02T03-04-05.678901",
    plain: Callable[[Row], str] | None = None,
    reader: str | None = READER_VERSION,
    score: Callable[[Row, str], dict[str, Any]] = lambda row, text: process_results(row, [text]),
    finish_reason: str | None = None,
    images: Callable[[Row], list[str]] = lambda row: [image_hash(row["id"])],
    **config: Any,
) -> Path:
    """Write the files of one evaluation; returns the result file.

    ``plain`` gives the plain replies of a run of mis-semsam with semsam_compare; ``reader`` is the version of the
    reader that the file names, ``score`` gives what it made of a reply, ``finish_reason`` how the replies ended.
    """
    model_args = {"pretrained": "org/some-model"} if model_args is None else model_args
    by_task = defaultdict(list)
    for each in rows:
        cell = "_".join(each[name] for name in ("modality", "plane", "terminology", "prompt"))
        task = f"blind_mis_ground_{each['prompt']}" if blind else f"mis_ground_{cell}"
        if each["input"] == "blank":
            task = f"mis_ground_blank_{each['prompt']}"
        by_task[task].append(each)
    target = folder / str(model_args.get("pretrained", "x")).replace("/", "__")
    target.mkdir(parents=True, exist_ok=True)
    for task, members in by_task.items():
        lines = []
        for number, each in enumerate(members):
            document = each | {"paired": True}
            text = reply(each)
            scores = score(document, text)
            generation = {"do_sample": False, "temperature": 0.0, "until": [], "max_gen_toks": 32}
            if finish_reason:
                generation["reply"] = {"finish_reason": finish_reason}
            if plain:
                generation["semsam_plain"] = [plain(each)]
            arguments = {"arg_0": each["question"], "arg_1": generation}
            if not blind:
                document["images"] = images(each)
                arguments["arg_2"] = {"visual": document["images"]}
            sample = {
                "doc_id": number,
                "doc": document,
                "target": each["answer"],
                "arguments": {"gen_args_0": arguments},
                "resps": [[text]],
                "filtered_resps": [text],
                "filter": "none",
                "metrics": list(scores),
                **scores,
            }
            lines.append(json.dumps(sample, ensure_ascii=False))
        (target / f"samples_{task}_{date}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    results = {
        "results": {task: {"name": task, "sample_len": len(members)} for task, members in by_task.items()},
        "configs": {
            task: {"task": task, "metadata": {"version": 2.0} | ({"reader": reader} if reader else {})}
            for task in by_task
        },
        "versions": dict.fromkeys(by_task, 2.0),
        "config": {
            "model": model,
            "model_args": model_args,
            "batch_size": 8,
            "device": "cpu",
            "limit": None,
            "gen_kwargs": {},
            "random_seed": 0,
            **config,
        },
        "date": datetime.strptime(date + "+0000", "%Y-%m-%dT%H-%M-%S.%f%z").timestamp(),
        "lm_eval_version": "0.4.13",
        "transformers_version": "5.24.0",
        "pretty_env_info": "PyTorch version: 2.13.0+cpu\nPython version: 3.11.2 (main) (64-bit)\n",
        "chat_template_sha": "abc",
        "model_name": str(model_args.get("pretrained", "x")),
    }
    path = target / f"results_{date}.json"
    path.write_text(json.dumps(results), encoding="utf-8")
    return path


def only_our_tasks(patch: Any) -> None:
    """Let the harness's command line know MIS-Ground's tasks only: to index its own takes it many seconds."""
    import lm_eval.tasks

    from lm_eval_tasks.running import evaluate

    patch.setattr(evaluate, "tasks_are_installed", lambda: False)
    patch.setattr(lm_eval.tasks, "TaskManager", partial(lm_eval.tasks.TaskManager, include_defaults=False))
