"""The structures of a slice, measured once for all questions about them."""

from dataset_builder.files.memoize import remembered
from dataset_builder.imaging.measurements import Measured, measure, present
from dataset_builder.slices.selection import SliceRecord


@remembered
def measured_structures(record: SliceRecord) -> tuple[tuple[int, ...], Measured]:
    """Every structure that has a pixel in the slice: label values, ascending, and what was measured."""
    values = tuple(int(value) for value in present(record.labels) if int(value) in record.names)
    return values, measure(record.labels, record.spacing, values)
