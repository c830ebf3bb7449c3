"""The small vision-language model that comes with the package: an instrument, not a model of anything medical.

A LLaVA of transformers' own classes with some two million parameters, trained on phantoms by the scripts in
``training/``. It shows that the benchmark's images can be read and that its scores move when, and only when, they
should. ``checkpoint/README.md`` says how it was made and what it scores.
"""

import hashlib
import re
from pathlib import Path

from dataset_builder.core.errors import MISGroundError

CHECKPOINT = Path(__file__).with_name("checkpoint")
WEIGHTS = "model.safetensors"


def model_folder() -> Path:
    """The folder of the checkpoint, for ``pretrained=``.

    Raises:
        MISGroundError: if the weights are not there, or not those that the card describes.
    """
    weights, card = CHECKPOINT / WEIGHTS, CHECKPOINT / "README.md"
    remedy = "Install the package again: pip install --force-reinstall mis-ground."
    if not weights.is_file() or not card.is_file():
        raise MISGroundError("The small model is missing.", file=weights, remedy=remedy)
    found = hashlib.sha256(weights.read_bytes()).hexdigest()
    stated = re.search(r"\b[0-9a-f]{64}\b", card.read_text(encoding="utf-8"))
    if stated is None or stated[0] != found:
        raise MISGroundError("The small model's weights do not match its card.", file=weights, remedy=remedy)
    return CHECKPOINT
