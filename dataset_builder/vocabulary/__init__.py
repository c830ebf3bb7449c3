"""Names of anatomy: structures, label maps of public data sets, wording and windows, as YAML tables with their reader.

May import ``core`` and ``files``.
"""

from dataset_builder.vocabulary.label_maps import label_map, label_map_names
from dataset_builder.vocabulary.organ_systems import organ_system
from dataset_builder.vocabulary.other_languages import (
    is_part_of_name,
    name_from_another_language,
    names_in_other_languages,
    without_accents,
)
from dataset_builder.vocabulary.side_words import read_side
from dataset_builder.vocabulary.tables import (
    LIMBS,
    REGIONS,
    TISSUES,
    Structure,
    confusable,
    find,
    normalise,
    structures,
)

__all__ = [
    "LIMBS",
    "REGIONS",
    "TISSUES",
    "Structure",
    "confusable",
    "find",
    "is_part_of_name",
    "label_map",
    "label_map_names",
    "name_from_another_language",
    "names_in_other_languages",
    "normalise",
    "organ_system",
    "read_side",
    "structures",
    "without_accents",
]
