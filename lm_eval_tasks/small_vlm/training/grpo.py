"""Train the small model on with TRL's GRPO and the benchmark's rewards: a run to copy, on the CPU.

    python grpo.py DATASET OUT [--model CHECKPOINT] [--steps N] [--answer-type box]

DATASET is a training split: ``mis-ground build --split train``. Needs the extra ``train``. OUT gets the model and
``rewards.jsonl``, the mean reward of each step.
"""

import argparse
import json
from pathlib import Path

from lm_eval_tasks.mis_ground.settings import RunSettings
from lm_eval_tasks.rewards import REWARDS
from lm_eval_tasks.small_vlm import model_folder
from lm_eval_tasks.training_rows import training_rows

GENERATIONS = 8
"""Answers to each question, which are compared with each other."""
LONGEST = 12
"""Tokens of an answer."""


def train(place: str, out: Path, model: Path, steps: int, answer_type: str | None, rate: float, questions: int) -> None:
    """Train for some steps and write the model and its rewards.

    Args:
        place: the data set's folder.
        out: where the model goes.
        model: the checkpoint to begin with.
        steps: of the optimizer.
        answer_type: rows with this type of answer only; all if not given.
        rate: learning rate.
        questions: asked in each step.
    """
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from trl import GRPOConfig, GRPOTrainer

    where = {"answer_type": answer_type} if answer_type else {}
    settings = RunSettings.from_metadata({"coordinates": "auto", "pretrained": str(model_folder())})
    config = GRPOConfig(
        output_dir=str(out),
        max_steps=steps,
        learning_rate=rate,
        per_device_train_batch_size=GENERATIONS * questions,
        num_generations=GENERATIONS,
        max_completion_length=LONGEST,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        logging_steps=1,
        save_strategy="no",
        report_to="none",
    )
    trainer = GRPOTrainer(
        model=AutoModelForImageTextToText.from_pretrained(model, dtype="auto"),
        processing_class=AutoProcessor.from_pretrained(model),
        reward_funcs=list(REWARDS),
        args=config,
        train_dataset=training_rows(place, settings, **where).shuffle(seed=0),
    )
    trainer.train()
    trainer.save_model(str(out))
    kept = [note for note in trainer.state.log_history if "reward" in note]
    (out / "rewards.jsonl").write_text("".join(json.dumps(note) + "\n" for note in kept), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path, default=None, help="Default: the package's checkpoint.")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--answer-type", choices=("choice", "point", "box", "number"))
    parser.add_argument("--rate", type=float, default=1e-5)
    parser.add_argument("--questions", type=int, default=4, help="Asked in each step.")
    given = parser.parse_args()
    start = given.model or model_folder()
    train(given.dataset, given.out, start, given.steps, given.answer_type, given.rate, given.questions)
