"""What a run is going to cost: questions, images, tokens, GPU hours and money, each with where it is from."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.mis_ground.prompts import answer_type_of
from lm_eval_tasks.running.images import fingerprint, images_of
from lm_eval_tasks.running.progress import duration
from lm_eval_tasks.running.token_counts import Piece, TokenCounter, floor

Request = Any

END = 1
"""Token that ends an answer."""
OTHER_ANSWERS = {"point": 10, "box": 18, "number": 5}
"""Tokens of an answer that is not one of several options, about."""

MILLION = 1e6


@dataclass(frozen=True)
class Rate:
    """How fast a model answers, stated or probed.

    Args:
        questions: a second; None where tokens are given.
        input_tokens: a second.
        output_tokens: a second.
        source: ``stated`` or what was probed.
    """

    questions: float | None = None
    input_tokens: float | None = None
    output_tokens: float | None = None
    source: str = "stated"

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """``12`` (questions a second) or ``9000,1200`` (tokens of prompts and of answers a second).

        Raises:
            MISGroundError: if it is neither.
        """
        try:
            values = [float(part) for part in text.split(",")]
        except ValueError:
            values = []
        if len(values) not in (1, 2) or not all(0 < value < float("inf") for value in values):
            raise MISGroundError(
                "--rate takes questions a second, or tokens of prompts and of answers a second.",
                value=text,
                remedy="For example --rate 12 or --rate 9000,1200.",
            )
        return cls(values[0]) if len(values) == 1 else cls(None, values[0], values[1])

    def seconds(self, questions: int, input_tokens: float, output_tokens: float) -> float:
        """How long so many questions take."""
        if self.questions is not None:
            return questions / self.questions
        assert self.input_tokens is not None
        assert self.output_tokens is not None
        return input_tokens / self.input_tokens + output_tokens / self.output_tokens

    def __str__(self) -> str:
        if self.questions is not None:
            return f"{self.source}: {self.questions:.3g} questions a second"
        return f"{self.source}: {self.input_tokens:,.0f} input and {self.output_tokens:,.0f} output tokens a second"


@dataclass(frozen=True)
class Price:
    """What a model costs.

    Args:
        currency: such as ``USD``.
        input: of a million tokens of prompts.
        cached_input: of a million of those that a prefix cache holds; None: as the others.
        output: of a million tokens of answers.
        gpu_hour: of an hour of one GPU.
    """

    currency: str
    input: float = 0.0
    output: float = 0.0
    cached_input: float | None = None
    gpu_hour: float | None = None

    def of(self, cost: "Cost") -> dict[str, Any]:
        """The parts of the price of a run, and their sum; None for GPU hours that are not known."""
        cached = self.input if self.cached_input is None else self.cached_input
        repeated = cost.input_tokens - cost.different_input_tokens
        parts: dict[str, Any] = {
            "input": (cost.different_input_tokens * self.input + repeated * cached) / MILLION,
            "output": cost.output_tokens * self.output / MILLION,
            "output_at_most": cost.most_output_tokens * self.output / MILLION,
        }
        if self.gpu_hour is not None:
            parts["gpu"] = None if cost.gpu_hours is None else cost.gpu_hours * self.gpu_hour
        known = [parts["input"], parts["output"], *([parts["gpu"]] if parts.get("gpu") is not None else [])]
        parts["total"] = None if "gpu" in parts and parts["gpu"] is None else sum(known)
        return parts | {"currency": self.currency}


PRICES = ("input", "output", "cached_input", "gpu_hour")


def read_price(path: Path, names: Sequence[str]) -> Price:
    """A model's price in the user's table.

    Args:
        path: YAML or JSON: ``MODEL: {input: ..., output: ...}``, in a million tokens; ``gpu_hour`` for an hour of a
            GPU; a line ``currency: USD`` beside the models.
        names: by which the model may be listed, the best first.

    Raises:
        MISGroundError: if the table cannot be read or does not list the model.
    """
    import yaml

    try:
        table = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise MISGroundError(
            "The table of prices cannot be read.", file=path, value=str(error).splitlines()[0]
        ) from error
    form = "Write MODEL: {input: PRICE, output: PRICE} for a million tokens, or MODEL: {gpu_hour: PRICE}."
    if not isinstance(table, dict) or not table:
        raise MISGroundError("The table of prices lists no model.", file=path, remedy=form)
    models = {str(name): row for name, row in table.items() if name != "currency"}
    found = next((name for name in names if name in models), None)
    if found is None:
        raise MISGroundError(
            "The table of prices does not list this model.",
            file=path,
            value=names[0] if names else None,
            remedy=f"It lists {', '.join(sorted(models)) or 'none'}. {form}",
        )
    row = models[found]
    wrong = sorted(set(row) - set(PRICES)) if isinstance(row, dict) else [str(row)]
    values = row.values() if isinstance(row, dict) else []
    if wrong or not row or not all(isinstance(v, (int, float)) and not isinstance(v, bool) and v >= 0 for v in values):
        raise MISGroundError(
            "A price in the table cannot be read.",
            file=path,
            value=f"{found}: {json.dumps(row, default=str)}",
            remedy=form,
        )
    return Price(str(table.get("currency", "")), **{name: float(value) for name, value in row.items()})


@dataclass(frozen=True)
class Kind:
    """The questions with so many images.

    Args:
        images: of a question.
        questions: how many.
        input_tokens: of their prompts.
    """

    images: int
    questions: int
    input_tokens: float


@dataclass(frozen=True)
class Cost:
    """What a run is going to ask and to cost.

    Args:
        kinds: the questions by their number of images.
        different_images: how many different ones are shown.
        different_input_tokens: what is left of the prompts for an engine that computes no beginning twice.
        output_tokens: of the answers.
        most_output_tokens: that the answers may take.
        counted_by: who counted tokens.
        output_from: how the tokens of the answers are known.
        rate: how fast, if that is known.
        gpus: that the model runs on; 0 for a model behind a server.
    """

    kinds: tuple[Kind, ...]
    different_images: int
    different_input_tokens: float
    output_tokens: float
    most_output_tokens: float
    counted_by: str
    output_from: str
    rate: Rate | None = None
    gpus: int = 1

    @property
    def questions(self) -> int:
        """In all."""
        return sum(kind.questions for kind in self.kinds)

    @property
    def images(self) -> int:
        """Shown in all."""
        return sum(kind.questions * kind.images for kind in self.kinds)

    @property
    def input_tokens(self) -> float:
        """Of all prompts."""
        return sum(kind.input_tokens for kind in self.kinds)

    @property
    def seconds(self) -> float | None:
        """How long the run takes; None without a rate."""
        if self.rate is None:
            return None
        return self.rate.seconds(self.questions, self.input_tokens, self.output_tokens)

    @property
    def gpu_hours(self) -> float | None:
        """Of all GPUs; None without a rate, or where the GPUs are another's."""
        return None if self.seconds is None or not self.gpus else self.seconds * self.gpus / 3600

    def to_json(self, price: Price | None = None) -> dict[str, Any]:
        """For programs; tokens are rounded to whole ones."""
        return {
            "questions": self.questions,
            "images": self.images,
            "different_images": self.different_images,
            "input_tokens": round(self.input_tokens),
            "different_input_tokens": round(self.different_input_tokens),
            "output_tokens": round(self.output_tokens),
            "output_tokens_at_most": round(self.most_output_tokens),
            "counted_by": self.counted_by,
            "output_from": self.output_from,
            "rate": str(self.rate) if self.rate else None,
            "seconds": self.seconds,
            "gpus": self.gpus,
            "gpu_hours": self.gpu_hours,
            "price": price.of(self) if price else None,
            "by_images": [
                {"images": kind.images, "questions": kind.questions, "input_tokens": round(kind.input_tokens)}
                for kind in self.kinds
            ],
        }

    def table(self, model: str, price: Price | None = None) -> Table:
        """For people."""
        table = Table(title=f"Dry run of {model}: nothing is asked", title_justify="left", show_header=False)
        table.add_column()
        table.add_column(justify="right")
        table.add_column()
        table.add_row("questions", f"{self.questions:,}", "")
        for kind in self.kinds:
            what = {0: "  without images", 1: "  with one image"}.get(kind.images, f"  with {kind.images} images")
            table.add_row(what, f"{kind.questions:,}", f"{kind.input_tokens:,.0f} tokens")
        table.add_row("images", f"{self.images:,}", f"{self.different_images:,} different")
        table.add_row("input tokens", f"{self.input_tokens:,.0f}", self.counted_by)
        table.add_row("  different", f"{self.different_input_tokens:,.0f}", "left to compute with a prefix cache")
        table.add_row("output tokens", f"{self.output_tokens:,.0f}", self.output_from)
        table.add_row("  at most", f"{self.most_output_tokens:,.0f}", "the budget of all answers")
        if self.rate and self.seconds is not None:
            table.add_row("time", duration(self.seconds), str(self.rate))
            if self.gpu_hours is not None:
                table.add_row("GPU hours", f"{self.gpu_hours:,.2f}", f"{self.gpus} GPU(s)")
        else:
            table.add_row("time", "?", "give --rate or --probe")
        if price:
            parts = price.of(self)
            given = (
                "unknown: give --rate or --probe"
                if parts["total"] is None
                else ", ".join(f"{name} {parts[name]:,.2f}" for name in ("input", "output", "gpu") if parts.get(name))
            )
            total = "?" if parts["total"] is None else f"{parts['total']:,.2f} {price.currency}".strip()
            table.add_row("price", total, given)
        return table


def cost_of(
    requests: Sequence[Request],
    counter: TokenCounter,
    rate: Rate | None = None,
    gpus: int = 1,
    answer_tokens: float | None = None,
    answer_source: str = "stated",
    direct: bool = True,
) -> Cost:
    """What some requests cost.

    Args:
        requests: of the harness.
        counter: of tokens.
        rate: if known.
        gpus: that the model runs on.
        answer_tokens: of an answer, if known.
        answer_source: how that is known.
        direct: whether the answer and nothing else is asked for.
    """
    prompts: list[list[Piece]] = list(counter.pieces(requests))
    kinds: dict[int, list[float]] = {}
    for request, prompt in zip(requests, prompts, strict=True):
        kinds.setdefault(len(images_of(request)), []).append(sum(tokens for _, tokens in prompt))
    budgets = [float(request.args[1].get("max_gen_toks") or 0) for request in requests]
    if answer_tokens is not None:
        answers, source = answer_tokens * len(requests), f"{answer_source}: {answer_tokens:.4g} an answer"
    elif direct and all(isinstance(each.doc, Mapping) and "options" in each.doc for each in requests):
        answers, source = sum(_of_answer(request.doc, counter) for request in requests), "an option each, nothing else"
    else:
        answers, source = sum(budgets), "the whole budget; give --answer-tokens or --probe"
    return Cost(
        tuple(Kind(images, len(own), sum(own)) for images, own in sorted(kinds.items())),
        len({fingerprint(image) for request in requests for image in images_of(request)}),
        floor(prompts),
        min(answers, sum(budgets)) if any(budgets) else answers,
        sum(budgets),
        counter.source,
        source,
        rate,
        gpus,
    )


def _of_answer(document: Mapping[str, Any], counter: TokenCounter) -> float:
    """Tokens of an answer that says one of the options, or a position or number, and nothing else."""
    kind = answer_type_of(document)
    if kind in OTHER_ANSWERS:
        return OTHER_ANSWERS[kind] + END
    options = [str(option) for option in document["options"]]
    return sum(map(counter.text, options)) / max(1, len(options)) + END
