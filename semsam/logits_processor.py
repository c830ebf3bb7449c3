"""MIS-SemSam as a ``transformers`` logits processor."""

from typing import Any, Self

import torch
from transformers import LogitsProcessor

from semsam.embedding import of_model
from semsam.errors import TablesError
from semsam.neighbours import for_model
from semsam.rescoring import rescore
from semsam.settings import Settings
from semsam.tables import NeighbourTables, check_model


class SemanticSamplingLogitsProcessor(LogitsProcessor):
    """Re-scores each step's logits by the probability of each candidate's neighbourhood.

    ``generate`` runs a user's processors after its own penalties and before temperature, top-k and top-p, also when it
    decodes greedily; this one chooses its candidates itself. In mode ``sample``, call ``generate`` with
    ``do_sample=True, top_k=0`` and no temperature, which would act on the scores once more.

    Args:
        tables: the model's neighbourhoods, see :func:`semsam.neighbours.for_model`.
        settings: their ``k`` may be less than the tables', not more.
        model: if given, the tables must be this model's.

    Raises:
        TablesError: if the tables do not fit the settings or the model.
    """

    def __init__(self, tables: NeighbourTables, settings: Settings | None = None, model: Any = None) -> None:
        self.settings = settings or Settings()
        if tables.guard != self.settings.guard:
            raise TablesError(
                f"The settings ask for guard={self.settings.guard}; the neighbour tables were built with another.",
                value=f"guard={tables.guard}",
                remedy="build the tables with the same settings (semsam.neighbours.for_model).",
            )
        if model is not None:
            check_model(tables, of_model(model))
        self.tables = tables.first(self.settings.k)

    @classmethod
    def for_model(cls, model: Any, tokenizer: Any = None, settings: Settings | None = None) -> Self:
        """The processor for a model; see :func:`semsam.neighbours.for_model`."""
        settings = settings or Settings()
        return cls(for_model(model, tokenizer, settings), settings)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.Tensor) -> torch.Tensor:
        """Re-scored float[batch, vocabulary]; see :func:`semsam.rescoring.rescore`."""
        settings = self.settings
        self.tables = self.tables.to(scores.device)
        return rescore(
            scores,
            self.tables,
            settings.top_m,
            settings.top_p,
            mode=settings.mode,
            strength=settings.strength,
        )
