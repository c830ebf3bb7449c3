"""What MIS-SemSam costs: ``python tests/benchmarks/semsam.py``. Prints Markdown tables.

All times of a line are taken in turns in one run, so that they share the machine's state, and each follows one of the
same step that is not counted. Compare ratios; milliseconds are this machine's. Times are medians; "at best" stands for
the ratio of the shortest times, which other programs on the machine disturb least. Where there are such programs,
OMP_NUM_THREADS=1 gives steadier ratios: a step on several threads waits for the last of them.

* A step: softmax, greedy, min-p, MIS-SemSam naively (full sort, Python loop) and as shipped, on the same logits; with
  ``--compile`` also by ``torch.compile``. On a GPU with and without CUDA graphs, and with the memory that a step takes
  beyond its result.
* A decode step of SmolLM2 with and without the processor (``--model DIR``; the tests' fixture shows how to get one);
  on a GPU also one of a model of eight billion random weights.
* The making of the tables beside the bare matrix product that it consists of.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

# This file has the name of the package it measures, and Python looks into the script's folder first.
sys.path[:] = [place for place in sys.path if Path(place or ".").resolve() != Path(__file__).resolve().parent]

import torch  # noqa: E402

from semsam import rescoring  # noqa: E402
from semsam.neighbours import NeighbourTables, build  # noqa: E402
from semsam.rescoring import rescore  # noqa: E402

TOP_M, TOP_P, K = 50, 0.95, 16
Step = Callable[[torch.Tensor], torch.Tensor]


def made_up_tables(vocabulary: int, device: str) -> NeighbourTables:
    """Tables of the right shape: each token's neighbours lie anywhere."""
    draw = torch.Generator().manual_seed(0)
    ids = torch.randint(vocabulary, (vocabulary, K), generator=draw, dtype=torch.int32)
    ids[:, 0] = torch.arange(vocabulary)
    weights = torch.rand(vocabulary, K, generator=draw).sort(descending=True).values
    weights[:, 0] = 1
    return NeighbourTables(ids, weights, torch.ones(vocabulary, dtype=torch.bool)).to(device)


def made_up_logits(batch: int, vocabulary: int, device: str) -> torch.Tensor:
    """Logits about as peaked as a model's, so that top-p leaves some dozens of candidates."""
    draw = torch.Generator().manual_seed(1)
    return (2.5 * torch.randn(batch, vocabulary, generator=draw)).to(device)


def softmax(logits: torch.Tensor) -> torch.Tensor:
    return logits.softmax(-1)


def greedy(logits: torch.Tensor) -> torch.Tensor:
    return logits.argmax(-1)


def min_p(logits: torch.Tensor) -> torch.Tensor:
    """As transformers does it."""
    from transformers import MinPLogitsWarper

    return MinPLogitsWarper(0.1)(None, logits)


def naive(tables: NeighbourTables) -> Step:
    """The rule as one would write it down first: a full sort, and a loop over rows and candidates."""

    def step(logits: torch.Tensor) -> torch.Tensor:
        probability = logits.softmax(-1)
        result = logits.clone()
        for row in range(len(logits)):
            ordered, order = probability[row].sort(descending=True)
            keep = int((ordered.cumsum(0) - ordered < TOP_P)[:TOP_M].sum())
            if not bool(tables.content[order[:keep]].all()):
                continue
            result[row] = -torch.inf
            for token in order[:keep].tolist():
                near = probability[row, tables.ids[token].long()]
                result[row, token] = (tables.weights[token] * near).sum().log()
        return result

    return step


def ours(tables: NeighbourTables) -> Step:
    return lambda logits: rescore(logits, tables, TOP_M, TOP_P)


def compiled(tables: NeighbourTables) -> Step:
    """The rule by ``torch.compile``."""
    rule = torch.compile(rescoring._rescore, dynamic=True)
    return lambda logits: rule(logits, tables, most=TOP_M, threshold=TOP_P, strength=None, sample=False)


def captured(step: Step, logits: torch.Tensor) -> Step:
    """The step as a CUDA graph; it always works on the logits that it was captured with."""
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(3):
            step(logits)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = step(logits)

    def replay(_: torch.Tensor) -> torch.Tensor:
        graph.replay()
        return result

    return replay


@dataclass(frozen=True)
class Time:
    """Milliseconds."""

    median: float
    least: float


def in_turns(steps: Mapping[str, Callable[[], object]], seconds: float, cuda: bool) -> dict[str, Time]:
    """The time of each, taken in turns in changing order until the time is over, but at least five of each.

    A step that takes long rests once it has had its share: the machine's scheduler makes those after it wait.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        step()
    order, draw = list(steps), random.Random(0)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or min(map(len, times.values())) < 5:
        draw.shuffle(order)
        for name in order:
            taken, step = times[name], steps[name]
            if len(taken) >= 5 and sum(taken) > 1000 * seconds / len(steps):
                continue
            if not taken or taken[-1] < 100:
                step()  # or a short step would pay for the caches that a long one before it has emptied
            if cuda:
                torch.cuda.synchronize()
            start = time.perf_counter()
            step()
            if cuda:
                torch.cuda.synchronize()
            taken.append(1000 * (time.perf_counter() - start))
    return {name: Time(statistics.median(values), min(values)) for name, values in times.items()}


def ratio(times: Mapping[str, Time], name: str, other: str) -> str:
    mine, others = times[name], times[other]
    return f"{mine.median / others.median:.2f} ({mine.least / others.least:.2f})"


def table(headings: list[str], lines: list[list[str]]) -> None:
    print("| " + " | ".join(headings) + " |")
    print("|" + "---|" * len(headings))
    for line in lines:
        print("| " + " | ".join(line) + " |", flush=True)
    print()


def steps(device: str, seconds: float, with_compiled: bool) -> None:
    """The first table."""
    cuda = device == "cuda"
    lines = []
    for vocabulary in (49_152, 151_936):
        tables = made_up_tables(vocabulary, device)
        for batch in (1, 8, 64):
            logits = made_up_logits(batch, vocabulary, device)
            ways: dict[str, Step] = {
                "softmax": softmax,
                "greedy": greedy,
                "min-p": min_p,
                "naive": naive(tables),
                "ours": ours(tables),
            }
            if with_compiled:
                ways["ours compiled"] = compiled(tables)
            if cuda:
                ways |= {f"{name}, graph": captured(ways[name], logits) for name in ("softmax", "greedy", "ours")}
            times = in_turns({name: partial(way, logits) for name, way in ways.items()}, seconds, cuda)
            line = [f"{vocabulary:,}", str(batch), *(f"{times[name].median:.2f}" for name in ways)]
            line += [ratio(times, "ours", "softmax"), f"{times['naive'].median / times['ours'].median:.0f}"]
            if with_compiled:
                line += [ratio(times, "ours compiled", "softmax")]
            if cuda:
                torch.cuda.reset_peak_memory_stats()
                before = torch.cuda.memory_allocated()
                result = ways["ours"](logits)
                extra = torch.cuda.max_memory_allocated() - before - result.nbytes
                line += [ratio(times, "ours, graph", "softmax, graph"), f"{extra / 2**20:.1f}"]
            lines.append(line)
    headings = ["vocabulary", "batch", *(f"{name}, ms" for name in ways), "ours / softmax (at best)", "naive / ours"]
    headings += ["ours compiled / softmax (at best)"] if with_compiled else []
    headings += ["ours / softmax, graphs (at best)", "memory beyond the result, MiB"] if cuda else []
    table(headings, lines)


def decode_steps(folder: str | None, device: str, seconds: float) -> None:
    """The second table: one new token of a model, its logits, and the processor on them."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from semsam.neighbours import for_model

    lines = []
    if folder:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(device)
        tables = for_model(model, AutoTokenizer.from_pretrained(folder))
        lines.append(decode_step(Path(folder).name, model, tables, seconds, batch=8, context=256))
    if device == "cuda":
        model = large_model()
        tables = made_up_tables(model.config.vocab_size, device)
        name = f"random, {sum(weight.numel() for weight in model.parameters()) / 1e9:.1f} billion, bfloat16"
        lines += [decode_step(name, model, tables, seconds, batch, context=1024) for batch in (1, 8, 64)]
    ways = ("plain", "processor", "softmax", "with processor")
    headings = ["model", "batch", "context", *(f"{name}, ms" for name in ways)]
    headings += ["processor / plain step (at best)", "tokens a second, plain", "with processor"]
    table(headings, lines)


def large_model() -> Any:
    """A model of the size of Qwen3-8B that knows nothing; a step takes it as long."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    sizes = {"hidden_size": 4096, "intermediate_size": 12_288, "num_hidden_layers": 36}
    heads = {"num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128}
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda"):
            return Qwen3ForCausalLM(Qwen3Config(vocab_size=151_936, **sizes, **heads)).eval()
    finally:
        torch.set_default_dtype(before)


def decode_step(name: str, model: Any, tables: NeighbourTables, seconds: float, batch: int, context: int) -> list[str]:
    """A line of the second table."""
    from semsam.logits_processor import SemanticSamplingLogitsProcessor

    processor = SemanticSamplingLogitsProcessor(tables)
    ids = torch.randint(1000, 40_000, (batch, context), generator=torch.Generator().manual_seed(0)).to(model.device)
    with torch.inference_mode():
        cache = model(ids, use_cache=True, logits_to_keep=1).past_key_values

        def plain() -> torch.Tensor:
            logits = model(ids[:, :1], past_key_values=cache, use_cache=True).logits[:, -1]
            cache.crop(-1)
            return logits.float()  # as generate does it

        logits = plain().clone()
        ways = {"plain": plain, "processor": lambda: processor(ids, logits), "softmax": lambda: logits.softmax(-1)}
        ways["with processor"] = lambda: processor(ids, plain())
        times = in_turns(ways, seconds, model.device.type == "cuda")
    share = times["processor"].median / times["plain"].median
    best = times["processor"].least / times["plain"].least
    rates = [f"{1000 * batch / times[way].median:,.0f}" for way in ("plain", "with processor")]
    shown = [f"{times[way].median:.2f}" for way in ways]
    return [name, str(batch), str(context), *shown, f"{100 * share:.2f} % ({100 * best:.2f} %)", *rates]


def product(unit: torch.Tensor, block: int = 512) -> None:
    """The matrix product, ``block`` rows at a time, kept nowhere."""
    out = torch.empty(block, len(unit), device=unit.device)
    for rows in unit.split(block):
        torch.mm(rows, unit.T, out=out[: len(rows)])


def tables(device: str, vocabularies: Mapping[int, int]) -> None:
    """The third table: making the tables against the product of the unit embedding with itself, block by block."""
    lines = []
    for vocabulary, hidden in vocabularies.items():
        embedding = torch.randn(vocabulary, hidden, generator=torch.Generator().manual_seed(0)).to(device)
        content = torch.ones(vocabulary, dtype=torch.bool)
        unit = torch.nn.functional.normalize(embedding)
        ways = {"product": partial(product, unit), "build": partial(build, embedding, content, K)}
        times = {name: [] for name in ways}
        for _ in range(2):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                if device == "cuda":
                    torch.cuda.synchronize()
                times[name].append(time.perf_counter() - start)
        best = {name: min(values) for name, values in times.items()}
        line = [f"{vocabulary:,}", str(hidden), *(f"{best[name]:.1f}" for name in ways)]
        lines.append([*line, f"{best['build'] / best['product']:.2f}"])
    table(["vocabulary", "width", "matrix product, s", "tables, s", "ratio"], lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", choices=["cpu", "cuda"], help="by default both, if there is a GPU")
    parser.add_argument("--seconds", type=float, default=5, help="for each line of the first table")
    parser.add_argument("--model", help="folder of a text model, for the second table")
    parser.add_argument("--compile", action="store_true", help="also the rule by torch.compile, which takes a minute")
    parser.add_argument("--no-tables", action="store_true", help="leave out the third table, which takes minutes")
    arguments = parser.parse_args()
    there = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in [arguments.device] if arguments.device else there:
        where = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
        print(f"**{where}**, torch {torch.__version__}; M {TOP_M}, top-p {TOP_P}, K {K}\n")
        steps(device, arguments.seconds, arguments.compile)
        if arguments.model or device == "cuda":
            decode_steps(arguments.model, device, 4 * arguments.seconds)
        if not arguments.no_tables:
            tables(device, {49_152: 576} if device == "cpu" else {49_152: 576, 151_936: 2560})


if __name__ == "__main__":
    main()
