"""``mis-ground eval --dry-run``: what a run is going to ask and to cost.

The harness makes the requests as for the run, with the model's own chat template if its processor can be loaded;
no weights are read and nobody is asked. With ``--probe`` the model is loaded and asked some questions, to find how fast
it answers and how long its answers are.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from lm_eval.api.model import LM
from rich.console import Console

from dataset_builder.core.errors import MISGroundError
from lm_eval_tasks.mis_ground.prompts import PLACE
from lm_eval_tasks.mis_ground.settings import MODEL_NAMES, RunSettings
from lm_eval_tasks.running import checks
from lm_eval_tasks.running.answer_store import chunk_size
from lm_eval_tasks.running.cost import Cost, Rate, cost_of, read_price
from lm_eval_tasks.running.options import DryRun, Options
from lm_eval_tasks.running.order import as_given, chunks
from lm_eval_tasks.running.token_counts import ProcessorCounter, TokenCounter, family_counter, processor_counter

Request = Any
Run = Callable[[Callable[[Any], Any]], None]
"""Makes the harness ask a model, which is made from the harness's configuration of the run."""

GPU_ARGUMENTS = ("tensor_parallel_size", "data_parallel_size", "pipeline_parallel_size", "tp_size", "dp_size")
"""Arguments of models by which they are spread over GPUs."""
WARM_UP = 4
"""Questions of a probe whose time does not count: the first of a run are slow."""


class Listener(LM):
    """Stands for a model: hears what would be asked of it, and answers with nothing.

    Args:
        name: of the model.
        counter: whose processor has the chat template, if it is a processor's.
    """

    MULTIMODAL = True

    def __init__(self, name: str, counter: TokenCounter | None) -> None:
        super().__init__()
        self.requests: list[Request] = []
        self._name = name
        self._processor = counter.processor if isinstance(counter, ProcessorCounter) else None

    @property
    def tokenizer_name(self) -> str:
        """By which the harness caches requests, if told to."""
        return f"{self._name} counted"

    def generate_until(self, requests: list[Request], disable_tqdm: bool = False) -> list[str]:
        """Hear them."""
        self.requests += requests
        return [""] * len(requests)

    def loglikelihood(self, requests: list[Request], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Not heard.

        Raises:
            MISGroundError: always.
        """
        raise MISGroundError("--dry-run counts tasks whose answers are generated.", remedy="Leave out the others.")

    loglikelihood_rolling = loglikelihood

    def chat_template(self, chat_template: bool | str = False) -> str:
        """The harness notes it in its results, of which there are none."""
        return ""

    def apply_chat_template(self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True) -> str:
        """A conversation in the model's template, images where the harness's models put them; else its texts."""
        if self._processor is None or not getattr(self._processor, "chat_template", None):
            return "\n".join(turn["content"] for turn in chat_history)
        turns: list[dict[str, Any]] = [turn | {"content": _parts(turn["content"])} for turn in chat_history]
        if not hasattr(self._processor, "image_processor"):
            turns = list(chat_history)
        made = self._processor.apply_chat_template(
            turns,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            continue_final_message=not add_generation_prompt,
        )
        return str(made)


def _parts(text: str) -> list[dict[str, str]]:
    """A text with places for images, in parts."""
    found: list[dict[str, str]] = []
    for number, part in enumerate(text.split(PLACE)):
        found += [{"type": "image"}] if number else []
        found += [{"type": "text", "text": part}] if part else []
    return found


def main(options: Options, run: Run) -> int:
    """Print the cost of a run.

    Args:
        options: of the command.
        run: makes the harness ask a model.

    Returns:
        The exit status.

    Raises:
        MISGroundError: if something is wrong with what was given.
    """
    given, harness = options.dry_run, options.harness
    assert given is not None
    name = model_name(harness.model_args) or harness.model
    rate = Rate.parse(given.rate) if given.rate else None
    price = read_price(given.prices, names_of(name, harness.model)) if given.prices else None
    cost = estimate(options, given, name, rate, run)
    if given.json:
        print(json.dumps({"model": name, **cost.to_json(price)}, indent=1))
    else:
        Console().print(cost.table(name, price))
    return 0


def estimate(options: Options, given: DryRun, name: str, rate: Rate | None, run: Run) -> Cost:
    """What the run of these options costs."""
    harness = options.harness
    served = harness.model in checks.SERVED
    with_images = checks.has_images(harness.tasks) and harness.model not in checks.TEXT_ONLY
    counter: TokenCounter
    if given.family:
        counter = family_counter(name, given.family)
    else:
        counter = counter_of(name, harness.model_args, with_images, served)
    listener = Listener(name, counter)
    with Console(stderr=True).status("Counting ..."), _quiet():
        run(lambda config: listener)
    requests = listener.requests
    if not requests:
        raise MISGroundError("No question would be asked: the data set has no rows for these tasks.")
    answer_tokens, answer_source = given.answer_tokens, "stated"
    if given.probe:
        with Console(stderr=True).status(f"Asking {given.probe} questions ..."), _quiet():
            found = probe(options, given.probe, run)
        rate = rate or replace(Rate(found.rate), source=f"probe of {found.questions} questions")
        if answer_tokens is None:
            answer_tokens, answer_source = found.answer_tokens(counter), f"probe of {found.questions} questions"
    style = RunSettings.from_metadata({**harness.model_args, **harness.metadata}).style
    return cost_of(
        requests,
        counter,
        rate,
        0 if served else given.gpus or gpus_of(harness.model_args),
        answer_tokens,
        answer_source,
        direct=style == "direct",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the harness's bars, of which there is one for each leaf."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield


def model_name(arguments: Mapping[str, Any]) -> str:
    """The name of the model among its arguments; empty if there is none."""
    return next((str(arguments[key]) for key in MODEL_NAMES if arguments.get(key)), "")


def names_of(name: str, kind: str) -> list[str]:
    """The names by which a table may list a model: as given, its last part, the kind."""
    return list(dict.fromkeys([name, Path(name).name, kind]))


def gpus_of(arguments: Mapping[str, Any]) -> int:
    """How many GPUs the arguments of a model spread it over."""
    count = 1
    for key in GPU_ARGUMENTS:
        try:
            count *= max(1, int(arguments.get(key) or 1))
        except (TypeError, ValueError):
            continue
    return count


def counter_of(name: str, arguments: Mapping[str, Any], images: bool, served: bool) -> TokenCounter:
    """The model's own processor if it can be loaded, else its family's way of counting.

    Raises:
        MISGroundError: if neither is to be had.
    """
    place = str(arguments.get("tokenizer") or name)
    if name and (not served or Path(place).is_dir() or "/" in place):
        try:
            return processor_counter(place, arguments, images)
        except Exception as error:  # transformers raises all kinds
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            Console(stderr=True).print(
                f"The model's processor cannot be loaded ({reason[:200]}); tokens are estimated.",
                markup=False,
                soft_wrap=True,
            )
    return family_counter(name)


# ------------------------------------------------------------------------------------------------------------ a probe


@dataclass(frozen=True)
class Probe:
    """What asking some questions showed.

    Args:
        questions: asked in the time.
        seconds: that they took.
        answers: to all.
    """

    questions: int
    seconds: float
    answers: Sequence[str]

    @property
    def rate(self) -> float:
        """Questions a second."""
        return self.questions / max(self.seconds, 1e-9)

    def answer_tokens(self, counter: TokenCounter) -> float:
        """Of an answer, on average, its end among them."""
        return sum(counter.text(answer) + 1 for answer in self.answers) / len(self.answers)


def probe(options: Options, count: int, run: Run) -> Probe:
    """Load the model and ask it some questions, whole runs of neighbours spread over all.

    Args:
        options: of the command.
        count: of the questions.
        run: makes the harness ask a model.
    """
    found: list[Probe] = []

    def made(config: Any) -> Any:
        from lm_eval.api.registry import get_model

        from lm_eval_tasks.running.server_models import SERVED

        kind = SERVED.get(config.model) or get_model(config.model)
        placed = {name: getattr(config, name) for name in ("batch_size", "max_batch_size", "device")}
        model = kind.create_from_arg_obj(config.model_args | dict(options.secrets), placed)
        model.generate_until = partial(some, model, model.generate_until)
        return model

    def some(model: Any, ask: Any, requests: list[Request], disable_tqdm: bool = False) -> list[str]:
        size = min(count, chunk_size(model))
        parts = chunks(requests, size)
        step = max(1, len(parts) * size // count)
        asked = [requests[n] for part in parts[::step] for n in part][:count]
        with as_given():
            ask(asked[: min(WARM_UP, count)])
            start = time.perf_counter()
            answers = list(map(str, ask(asked)))
        found.append(Probe(len(asked), time.perf_counter() - start, answers))
        return [""] * len(requests)

    run(made)
    return Probe(
        sum(each.questions for each in found),
        sum(each.seconds for each in found),
        [answer for each in found for answer in each.answers],
    )
