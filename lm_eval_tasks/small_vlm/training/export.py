"""Write a trained model as the package's checkpoint: ``python export.py RUN CHECKPOINT``.

RUN is the folder that ``train.py`` wrote. The weights are stored in half precision and loaded in single precision, so
that a CPU computes with what it is good at. The card is filled in from ``card.md``, the curve and the weights' sha256.
"""

import argparse
import hashlib
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast

from lm_eval_tasks.small_vlm.training.model import make_model, make_processor


def export(run: Path, out: Path) -> None:
    """Write model, tokenizer, processor and card into ``out``."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(run / "model")
    state = torch.load(run / "state.pt", weights_only=False)
    model = make_model(tokenizer, 0)
    model.load_state_dict({k.removeprefix("model."): v for k, v in state["model"].items() if k.startswith("model.")})
    model.config.dtype = torch.float32
    model.save_pretrained(out)
    make_processor(tokenizer).save_pretrained(out)
    weights = out / "model.safetensors"
    # The tower's names as published LLaVA checkpoints have them: transformers reads both, vLLM only these.
    tower = ("vision_tower.", "vision_tower.vision_model.")
    half = {name.replace(*tower): tensor.half() for name, tensor in load_file(weights).items()}
    save_file(half, weights, metadata={"format": "pt"})
    weights.chmod(0o644)
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    curve = [json.loads(line) for line in (run / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    card = Path(__file__).with_name("card.md").read_text(encoding="utf-8")
    filled = {
        "sha256": sha256,
        "parameters": f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.2f}",
        "watched": "\n".join(f"| {k} | {100 * v:.1f} |" for k, v in _last(curve).items()),
    }
    for name, value in filled.items():
        card = card.replace("{{" + name + "}}", value)
    (out / "README.md").write_text(card, encoding="utf-8")
    print(f"{weights.stat().st_size / 1e6:.2f} MB, sha256 {sha256}")


def _last(curve: list[dict[str, float]]) -> dict[str, float]:
    """The last evaluation of a curve."""
    noted = next(note for note in reversed(curve) if "naming" in note)
    return {name: value for name, value in noted.items() if name not in ("step", "seconds") and "loss" not in name}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    export(given.run, given.out)
