"""From sources to a data set: the builder, its worker processes, rows, quarantine, held-out subjects and recipes.

May import every room but ``gallery``, ``hub``, ``check`` and ``cli``.
"""

from typing import TYPE_CHECKING

from dataset_builder.core.lazy import handed_on

if TYPE_CHECKING:
    from dataset_builder.building.builder import BuildSummary, build
    from dataset_builder.building.datasets_builder import MISGround
    from dataset_builder.building.recipe import rebuild, write_recipe

__all__ = ["BuildSummary", "MISGround", "build", "rebuild", "write_recipe"]

__getattr__, __dir__ = handed_on(
    __name__,
    {
        "BuildSummary": "builder",
        "MISGround": "datasets_builder",
        "build": "builder",
        "rebuild": "recipe",
        "write_recipe": "recipe",
    },
)
