"""Tests that need vLLM: ``make test-vllm`` makes an environment with it and runs them. Elsewhere none is collected."""

import importlib.util
import os

collect_ignore_glob = [] if importlib.util.find_spec("vllm") else ["test_*.py"]

os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"  # the engine in this process: it loads in a fifth of the time
os.environ["VLLM_NO_USAGE_STATS"] = "1"
