"""MIS-SemSam as a recipe for ``model.generate(custom_generate=...)``; see README.md beside this file."""

from typing import Any
from weakref import WeakKeyDictionary

from transformers import LogitsProcessorList

# In a `try`, so that the message is this one and not a wrong guess at the package's name.
try:
    from semsam.embedding import state_of
    from semsam.logits_processor import SemanticSamplingLogitsProcessor
    from semsam.settings import Settings
except ImportError as error:
    raise ImportError(
        "This recipe needs the package mis-ground, which has the module semsam: pip install mis-ground"
    ) from error

_processors: "WeakKeyDictionary[Any, dict[Any, SemanticSamplingLogitsProcessor]]" = WeakKeyDictionary()


def generate(model: Any, logits_processor: Any = None, **arguments: Any) -> Any:
    """As ``model.generate``, with MIS-SemSam.

    Args:
        model: any model that ``generate`` takes.
        logits_processor: other processors; they run first.
        arguments: those of ``generate``, and ``semsam_k``, ``semsam_top_m``, ``semsam_top_p``, ``semsam_guard``,
            ``semsam_mode``, ``semsam_strength``. The model's tokenizer is loaded from where the model was, unless
            ``tokenizer`` is given.

    Raises:
        SemSamError: if a setting is not legal or no tables can be made for the model; before anything is generated.
    """
    ours = {name: arguments.pop(name) for name in list(arguments) if name.startswith("semsam_")}
    settings = Settings.from_prefixed(ours)
    processors = LogitsProcessorList(logits_processor or ())
    if settings.strength > 0:
        processors.append(_processor(model, arguments.get("tokenizer"), settings))
    # The class's own method: the instance's may be this very recipe.
    return type(model).generate(model, logits_processor=processors, **arguments)


def _processor(model: Any, tokenizer: Any, settings: Settings) -> SemanticSamplingLogitsProcessor:
    """The model's processor, made at the first call and again when its embedding has changed."""
    made = _processors.setdefault(model, {})
    key = (settings, None if tokenizer is None else id(tokenizer), state_of(model))
    if key not in made:
        made.clear()
        made[key] = SemanticSamplingLogitsProcessor.for_model(model, tokenizer, settings)
    return made[key]
