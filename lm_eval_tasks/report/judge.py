"""A second reading of doubtful replies, by a judge model: ``mis-ground report --judge MODEL``.

Only replies that the reader leaves ``unread`` are handed to the judge, and a sample of those that it read, to see how
far the two agree. The judge's readings stand beside the reader's and change no score. What it said is kept in the
report's folder, so that no reply is judged twice.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

from dataset_builder.core.errors import MISGroundError
from dataset_builder.files.atomic import write_atomically
from dataset_builder.files.progress import Progress
from lm_eval_tasks.mis_ground.reading.markers import without_reasoning
from lm_eval_tasks.mis_ground.reading.text import plain
from lm_eval_tasks.report.runs import Question, Reading, Run

SAMPLE = 40
"""How many of a run's replies that the reader read are judged, too."""
BUDGET = 1024
"""Tokens that a judgement may take; judges that think first need some."""
KEPT = "judge.jsonl"
"""File in the report's folder with all that judges said."""
CHUNK = 32

PROMPT = """\
You read what other models answered. Below are a question, its options, and a reply. Say which option the reply gives
as its answer. Do not answer the question yourself, and do not judge whether the reply is right. If the reply gives no
option, more than one, or refuses to answer, say: none.

Question:
{question}

Options:
{options}

Reply:
<<<
{reply}
>>>

Answer with the number of one option, or with the word none, and with nothing else."""

Verdict = Literal["option", "none", "unclear"]


class Judge(Protocol):
    """Answers prompts; ``name`` is the model's."""

    @property
    def name(self) -> str:
        """The model's name, as it is shown."""
        ...

    def answer(self, prompts: Sequence[str]) -> list[str]:
        """The answers, in order."""
        ...


@dataclass(frozen=True)
class Judgement:
    """What a judge read from a reply: an option, ``none``, or nothing that is understood."""

    verdict: Verdict
    option: str | None = None


def prompt_for(question: Question, reply: str) -> str:
    """What a judge is asked about a reply."""
    options = "\n".join(f"{number}. {option}" for number, option in enumerate(question["options"], start=1))
    asked = question["question"].partition("\nOptions: ")[0]
    return PROMPT.format(question=asked, options=options, reply=reply)


def judgement(answer: str, options: Sequence[str]) -> Judgement:
    """What a judge's answer says.

    >>> judgement("2", ["right", "left"])
    Judgement(verdict='option', option='left')
    """
    text = plain(without_reasoning(answer) or "").strip(" .()[]")
    by_name = {plain(option): option for option in options}
    if text in by_name:
        return Judgement("option", by_name[text])
    said = re.fullmatch(r"(?:answer|option|number)?[: ]*(\d+|none)(?:[.:)]? +(.*))?", text)
    if not said or (said[2] and said[2] not in by_name):
        return Judgement("unclear")
    if said[1] == "none":
        return Judgement("none")
    number = int(said[1])
    if not 1 <= number <= len(options) or (said[2] and by_name[said[2]] != options[number - 1]):
        return Judgement("unclear")
    return Judgement("option", options[number - 1])


def judge_runs(reading: Reading, judge: Judge, folder: Path, progress: Progress | None = None) -> dict[str, "Judged"]:
    """Let a judge read the unread replies of runs, and a sample of the read ones.

    Args:
        reading: the runs.
        judge: the model.
        folder: of the report, where its answers are kept.
        progress: called as ``progress(stage, done, total)``.

    Returns:
        By the run's name.
    """
    wanted = {run.name: (_unread(run), _sample(run)) for run in reading.runs}
    prompts = {
        (run.name, each): prompt_for(reading.questions[each], run.answers[each].reply)
        for run in reading.runs
        for ids in wanted[run.name]
        for each in ids
    }
    answers = _answers(judge, list(dict.fromkeys(prompts.values())), folder, progress)
    judged = {}
    for run in reading.runs:
        unread, sample = (
            {each: judgement(answers[prompts[run.name, each]], reading.questions[each]["options"]) for each in ids}
            for ids in wanted[run.name]
        )
        judged[run.name] = Judged(judge.name, unread, sample, run, reading.questions)
    return judged


@dataclass(frozen=True)
class Judged:
    """A judge's readings of a run: of the unread replies and of a sample of the read ones, by the question's id."""

    model: str
    unread: Mapping[str, Judgement]
    sample: Mapping[str, Judgement]
    run: Run
    questions: Mapping[str, Question]

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``report.json``."""
        verdicts = [found.verdict for found in self.unread.values()]
        right = sum(found.option == self.questions[each]["answer"] for each, found in self.unread.items())
        agree = sum(found.option == self.run.answers[each].said for each, found in self.sample.items())
        return {
            "model": self.model,
            "unread": len(self.unread),
            "given_an_option": verdicts.count("option"),
            "of_these_right": right,
            "none": verdicts.count("none"),
            "unclear": verdicts.count("unclear"),
            "read_sample": len(self.sample),
            "agree": agree,
        }

    def of(self, identity: str) -> str:
        """The judge's reading of a reply, for a table; "" where it was not asked."""
        found = self.unread.get(identity) or self.sample.get(identity)
        return "" if found is None else found.option or found.verdict


def judge_summary(judged: Mapping[str, Any], run: str) -> str:
    """A judge's readings of a run in a sentence."""
    return (
        f"Judge {judged['model']} on {run}: of {judged['unread']:,} unread replies it reads an option in "
        f"{judged['given_an_option']:,} ({judged['of_these_right']:,} right), none in {judged['none']:,}, and is "
        f"unclear on {judged['unclear']:,}; it agrees with the reader on {judged['agree']:,} of "
        f"{judged['read_sample']:,} read ones."
    )


def _unread(run: Run) -> list[str]:
    return sorted(
        each
        for each, answer in run.answers.items()
        if answer.kind == "choice" and answer.status == "unread" and answer.reply.strip()
    )


def _sample(run: Run) -> list[str]:
    """Some of the read replies, drawn by their questions' ids and so the same at every time."""
    read = [each for each, answer in run.answers.items() if answer.kind == "choice" and answer.status == "read"]
    return sorted(read, key=lambda each: hashlib.sha256(each.encode()).digest())[:SAMPLE]


def _answers(judge: Judge, prompts: Sequence[str], folder: Path, progress: Progress | None) -> dict[str, str]:
    """The judge's answer to each prompt, from the folder if it was asked before."""
    path = folder / KEPT
    kept = _kept(path)
    keys = {prompt: hashlib.sha256(f"{judge.name}\n{prompt}".encode()).hexdigest() for prompt in prompts}
    missing = [prompt for prompt in prompts if keys[prompt] not in kept]
    for start in range(0, len(missing), CHUNK):
        chunk = missing[start : start + CHUNK]
        for prompt, answer in zip(chunk, judge.answer(chunk), strict=True):
            kept[keys[prompt]] = answer
        lines = [json.dumps({"key": key, "said": said}, ensure_ascii=False) for key, said in kept.items()]
        write_atomically(path, "\n".join(lines) + "\n")
        if progress:
            progress("judge", min(start + CHUNK, len(missing)), len(missing))
    return {prompt: kept[keys[prompt]] for prompt in prompts}


def _kept(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        return {found["key"]: found["said"] for line in lines if line for found in [json.loads(line)]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


# --------------------------------------------------------------------------------------------------------- the models


@dataclass(frozen=True)
class ServerJudge:
    """A model behind a server that speaks OpenAI's protocol; the key is in the variable ``OPENAI_API_KEY``."""

    name: str
    url: str

    def answer(self, prompts: Sequence[str]) -> list[str]:
        """The answers, in order."""
        from lm_eval_tasks.running.chat_client import ChatClient

        key = os.environ.get("OPENAI_API_KEY", "")
        client = ChatClient(self.url, {"Authorization": f"Bearer {key}"} if key else {})
        payloads = [partial(self._payload, prompt) for prompt in prompts]
        return [str(reply) for reply in client.ask(payloads, lambda number, reply: None)]

    def _payload(self, prompt: str) -> dict[str, Any]:
        messages = [{"role": "user", "content": prompt}]
        return {"model": self.name, "messages": messages, "temperature": 0, "max_tokens": BUDGET}


class LocalJudge:
    """A language model that transformers loads from a folder or the Hub.

    Args:
        name: the folder or the model's id.
    """

    def __init__(self, name: str) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.name = name
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(name)
            model: Any = AutoModelForCausalLM.from_pretrained(name, dtype="auto")
        except (OSError, ValueError) as error:
            raise MISGroundError(
                "The judge model cannot be loaded.",
                value=f"{name}: {str(error).splitlines()[0]}",
                remedy="Give a folder or a model on the Hub, or --judge-url URL for a model behind a server.",
            ) from error
        self._model = model.to("cuda" if torch.cuda.is_available() else "cpu").eval()

    def answer(self, prompts: Sequence[str]) -> list[str]:
        """The answers, in order."""
        return [self._one(prompt) for prompt in prompts]

    def _one(self, prompt: str) -> str:
        import torch

        given = self._encoded(prompt).to(self._model.device)
        length = given["input_ids"].shape[1]
        with torch.inference_mode():
            made = self._model.generate(
                **given, do_sample=False, max_new_tokens=BUDGET if self._thinks() else 16, pad_token_id=self._pad()
            )
        return str(self._tokenizer.decode(made[0, length:], skip_special_tokens=True))

    def _encoded(self, prompt: str) -> Any:
        if not self._tokenizer.chat_template:
            return self._tokenizer(prompt, return_tensors="pt")
        return self._tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
            enable_thinking=False,
        )

    def _thinks(self) -> bool:
        """Whether the chat template opens a thought, so that the answer comes late."""
        template = self._tokenizer.chat_template or ""
        return "<think>" in template and "enable_thinking" not in template

    def _pad(self) -> int | None:
        found: int | None = self._tokenizer.pad_token_id
        return found if found is not None else self._tokenizer.eos_token_id


def judge_of(name: str, url: str | None = None) -> Judge:
    """The judge that a user names: behind a server if there is an address, else a local model."""
    return ServerJudge(name, url) if url else LocalJudge(name)
