"""The data set on disk: columns and Arrow schema, Parquet, the manifest ``build.json``, card, Croissant, licences.

May import the rooms before it: ``core``, ``files``, ``vocabulary``, ``imaging``, ``sources``.
"""

from typing import TYPE_CHECKING

from dataset_builder.core.lazy import handed_on

if TYPE_CHECKING:
    from dataset_builder.dataset.card import write_card
    from dataset_builder.dataset.format import COLUMNS, ROW_SCHEMA, VERSION
    from dataset_builder.dataset.manifest import Record, read_record

__all__ = ["COLUMNS", "ROW_SCHEMA", "VERSION", "Record", "read_record", "write_card"]

__getattr__, __dir__ = handed_on(
    __name__,
    {
        "COLUMNS": "format",
        "ROW_SCHEMA": "format",
        "VERSION": "format",
        "Record": "manifest",
        "read_record": "manifest",
        "write_card": "card",
    },
)
