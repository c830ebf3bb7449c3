"""Engines with the plugin, small enough for a CPU."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from vllm import LLM
from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

SETTINGS = {
    "dtype": "float32",
    "enforce_eager": True,
    "max_model_len": 1024,
    "max_num_batched_tokens": 1024,
    "kv_cache_memory_bytes": 64 << 20,
    "logits_processors": ["semsam.vllm_plugin:SemanticSampling"],
}


@contextmanager
def running(model: str) -> Iterator[LLM]:
    """An engine with the model, gone at the end."""
    engine = LLM(model, **SETTINGS)
    try:
        yield engine
    finally:
        stop(engine)


def stop(engine: LLM) -> None:
    """End an engine, so that another can be started in this process."""
    engine.llm_engine.engine_core.shutdown()
    gc.collect()
    cleanup_dist_env_and_memory()
