"""MIS-SemSam: decoding by the probability of a token's neighbourhood in the model's own embedding.

The usual names are exported here; what they need is imported when they are first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from semsam import antonyms, logits_processor, neighbours, rescoring, settings
    from semsam.logits_processor import SemanticSamplingLogitsProcessor
    from semsam.neighbours import NeighbourTables
    from semsam.rescoring import rescore
    from semsam.settings import Settings

_MODULES = ("antonyms", "logits_processor", "neighbours", "rescoring", "settings")
_NAMES = {
    "NeighbourTables": "neighbours",
    "SemanticSamplingLogitsProcessor": "logits_processor",
    "Settings": "settings",
    "rescore": "rescoring",
}
__all__ = [
    "NeighbourTables",
    "SemanticSamplingLogitsProcessor",
    "Settings",
    "antonyms",
    "logits_processor",
    "neighbours",
    "rescore",
    "rescoring",
    "settings",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"semsam.{name}")
    if name in _NAMES:
        return getattr(import_module(f"semsam.{_NAMES[name]}"), name)
    raise AttributeError(f"module 'semsam' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
