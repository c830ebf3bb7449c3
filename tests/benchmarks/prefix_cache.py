"""What the order of questions costs an engine that caches prefixes.

    .venv-vllm/bin/python -m tests.benchmarks.prefix_cache
    .venv-vllm/bin/python -m tests.benchmarks.prefix_cache --many --cached-tokens 8192

A data set of four phantoms is asked twice, of one engine, through the harness: as the harness does by itself, sorted by
length, and as ``mis-ground eval`` does. vLLM's own counters say how many tokens of prompts were looked up in its prefix
cache and how many were found there; the others were computed. They are compared with a floor: the number of different
beginnings of prompts, where an image is known by its content. No order can reach it, since vLLM keeps and finds only
whole blocks of tokens: what is left to compute then, the floor in blocks, is printed as well, and also for the blocks
of 16 tokens that vLLM has on a GPU. Images that the vision tower encodes are counted in it.

As with a large model, the cache holds a small part of the data set. The model is Qwen3-VL in a tiny configuration with
random weights; an image has 256 tokens, as in the real one at 512 x 512 pixels, and the words are SmolLM2's.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from lm_eval_tasks.running.token_counts import Piece, floor

os.environ.setdefault(
    "VLLM_ENABLE_V1_MULTIPROCESSING", "0"
)  # the engine in this process, so that it can be looked into
os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")

KV_BYTES_PER_TOKEN = 2 * 1 * 32 * 2 * 4
"""Of the tiny model: layers, heads, their width, keys and values, bytes of a number."""
BLOCK = 32
"""Tokens that the cache keeps or forgets together; the fewest that vLLM takes on a CPU."""
BLOCK_ON_A_GPU = 16

MANY: dict[str, Any] = {
    "slices_per_volume": 3,
    "questions_per_volume": 150,
    "prompts": ("none", "text_point", "text_box"),
    "registers": ("clinical", "lay"),
    "conventions": ("radiological", "ras"),
    "inputs": ("slice",),
    "views": ("plain",),
    "answer_types": ("choice",),
}
"""Of a data set without markers, whose questions share their images."""

COUNTERS = ("vllm:prefix_cache_queries", "vllm:prefix_cache_hits")


@dataclass
class Cost:
    """What all answers cost.

    Args:
        prompt_tokens: of all prompts.
        computed_tokens: of those, the ones that were not found in the prefix cache.
        images_encoded: by the vision tower.
        seconds: in all.
    """

    prompt_tokens: int
    computed_tokens: int
    images_encoded: int
    seconds: float


class Engine:
    """vLLM with a model, through the harness.

    Args:
        folder: of the model.
        cached_tokens: that the prefix cache holds.
        context: the longest prompt and answer, in tokens.
    """

    def __init__(self, folder: Path, cached_tokens: int, context: int) -> None:
        from lm_eval.api.registry import get_model

        arguments = {
            "pretrained": str(folder),
            "dtype": "float32",
            "enforce_eager": True,
            "max_model_len": context,
            "max_num_batched_tokens": context,
            "max_num_seqs": 16,
            "block_size": BLOCK,
            "enable_prefix_caching": True,
            "kv_cache_memory_bytes": cached_tokens * KV_BYTES_PER_TOKEN,
            "disable_log_stats": False,
        }
        self.lm = get_model("vllm-vlm").create_from_arg_obj(arguments, {"batch_size": "auto", "device": "cpu"})
        self.plainly = self.lm.generate_until
        self.images = 0
        self._count_images()

    def _count_images(self) -> None:
        """Let the vision tower count what it encodes."""
        from vllm.v1.worker.gpu_model_runner import GPUModelRunner  # the CPU's is made of it

        original = GPUModelRunner._execute_mm_encoder

        def counted(runner: Any, *args: Any, **more: Any) -> Any:
            found = original(runner, *args, **more)
            self.images += len(found)
            return found

        GPUModelRunner._execute_mm_encoder = counted

    def counters(self) -> dict[str, int]:
        """vLLM's own, by name."""
        return {metric.name: int(metric.value) for metric in self.lm.model.get_metrics() if metric.name in COUNTERS}

    def cost_of(self, run: Callable[[], Any]) -> tuple[Any, Cost]:
        """What a run gives and costs, begun with empty caches."""
        self.lm.model.reset_prefix_cache()
        self.lm.model.reset_mm_cache()
        self.lm.model.llm_engine.reset_encoder_cache()
        before, images, start = self.counters(), self.images, perf_counter()
        found = run()
        after = self.counters()
        asked, hits = (
            after[f"vllm:prefix_cache_{name}"] - before[f"vllm:prefix_cache_{name}"] for name in ("queries", "hits")
        )
        return found, Cost(asked, asked - hits, self.images - images, perf_counter() - start)


def in_blocks(number: int, prompt: Sequence[Any], size: int) -> list[Piece]:
    """The prompt of a question in the blocks that the cache keeps; what follows the last one is always computed."""
    whole = (len(prompt) - 1) // size * size
    blocks: list[Piece] = [(tuple(prompt[start : start + size]), size) for start in range(0, whole, size)]
    return [*blocks, (("end", number), len(prompt) - whole)]


def tokens_of(request: Any, processor: Any) -> list[Any]:
    """The tokens of a prompt, those of images with the image's hash and their number."""
    from lm_eval_tasks.running.images import image_hash, images_of

    images = images_of(request)
    made = processor(text=[request.args[0]], images=images or None, return_tensors="pt")
    found: list[Any] = made["input_ids"][0].tolist()
    hashes, place, inside = [image_hash(image) for image in images], -1, -1
    for n, token in enumerate(found):
        if token != processor.image_token_id:
            inside = -1
            continue
        if inside < 0:
            place += 1
        inside += 1
        found[n] = (hashes[place], inside)
    return found


def scored(lm: Any, dataset: Path, names: Sequence[str]) -> dict[str, Any]:
    """Scores and answers by task, and the requests."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    from lm_eval_tasks.running.evaluate import TASKS

    tasks = TaskManager(include_path=str(TASKS), include_defaults=False, metadata={"dataset": str(dataset)})
    wanted = tasks.match_tasks(list(names))
    found = simple_evaluate(
        lm,
        tasks=wanted,
        task_manager=tasks,
        bootstrap_iters=0,
        apply_chat_template=True,
        gen_kwargs={"max_gen_toks": 8},
    )
    return {name: found[name] for name in ("results", "samples")}


def answers_of(found: dict[str, Any]) -> list[str]:
    """In the order of tasks and documents."""
    return [sample["resps"][0][0] for _, samples in sorted(found["samples"].items()) for sample in samples]


def compare(engine: Engine, dataset: Path, names: Sequence[str]) -> dict[str, Any]:
    """Both orders in one run: cost, floor, and whether answers and scores are the same."""
    from unittest.mock import patch

    from rich.console import Console

    from lm_eval_tasks.running import preflight, watching
    from lm_eval_tasks.running.images import fingerprint, images_of

    requests: list[Any] = []

    def all_at_once(asked: list[Any], ask: Callable[[list[Any]], list[str]], *_: Any) -> list[str]:
        requests.extend(asked)
        return ask(asked)

    def run() -> tuple[dict[str, Any], Cost]:
        engine.lm.generate_until = engine.plainly
        watching.Watch(console=Console(quiet=True)).over("vllm-vlm", {}, engine.lm)
        found: tuple[dict[str, Any], Cost] = engine.cost_of(lambda: scored(engine.lm, dataset, names))
        return found

    # Trial questions before a long run would be counted, too.
    with patch.object(preflight, "LONG_RUN", sys.maxsize):
        with patch.object(watching, "ask_in_chunks", all_at_once):
            plain, by_length = run()
        ours, by_image = run()
    prompts = [tokens_of(request, engine.lm.processor) for request in requests]
    least = int(floor([[(token, 1.0) for token in prompt] for prompt in prompts]))
    least_in_blocks, least_on_a_gpu = (
        int(floor(in_blocks(number, prompt, size) for number, prompt in enumerate(prompts)))
        for size in (BLOCK, BLOCK_ON_A_GPU)
    )
    if not by_length.prompt_tokens == by_image.prompt_tokens == sum(map(len, prompts)):
        raise ValueError(f"Prompts differ: {by_length}, {by_image}, {sum(map(len, prompts))} tokens counted here")

    def compared(cost: Cost) -> dict[str, Any]:
        ratios = {"floor": cost.computed_tokens / least, "floor_in_blocks": cost.computed_tokens / least_in_blocks}
        return asdict(cost) | {f"computed/{name}": ratio for name, ratio in ratios.items()}

    return {
        "questions": len(requests),
        "different_images": len({fingerprint(image) for request in requests for image in images_of(request)}),
        "floor_tokens": least,
        f"floor_in_blocks_of_{BLOCK}": least_in_blocks,
        f"floor_in_blocks_of_{BLOCK_ON_A_GPU}": least_on_a_gpu,
        "sorted_by_length": compared(by_length),
        "by_image": compared(by_image),
        "different_answers": sum(one != other for one, other in zip(answers_of(plain), answers_of(ours), strict=True)),
        "same_scores": json.dumps(plain["results"], default=str) == json.dumps(ours["results"], default=str),
    }


def main() -> None:
    """Make data and model, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, help="a data set folder; otherwise one is built from four phantoms")
    parser.add_argument("--many", action="store_true", help="300 questions about a few images of two phantoms instead")
    parser.add_argument("--tasks", nargs="+", default=["mis_ground_*"])
    parser.add_argument("--cached-tokens", type=int, default=16384)
    options = parser.parse_args()

    from dataset_builder.building.builder import build
    from dataset_builder.core.settings import Settings
    from dataset_builder.sources import open_source
    from lm_eval_tasks.smollm2 import fetch_smollm2
    from tests.helpers.tiny_models import save_tiny_qwen3_vl, tokenizer_of_words

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        source, settings = ("phantom:2", Settings(**MANY)) if options.many else ("phantom:4", Settings())
        dataset = options.dataset or build([open_source(source)], folder / "ground", settings).out
        model = save_tiny_qwen3_vl(folder / "model", tokenizer_of_words(fetch_smollm2()), image_size=512, context=4096)
        engine = Engine(model, options.cached_tokens, context=4096)
        print(json.dumps(compare(engine, dataset, options.tasks), indent=1))


if __name__ == "__main__":
    main()
