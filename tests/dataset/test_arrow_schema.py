import datasets
import pyarrow as pa

from dataset_builder.dataset.arrow_schema import IMAGE, described
from dataset_builder.dataset.format import COLUMNS, ROW_SCHEMA
from dataset_builder.slices.selection import SLICE_SCHEMA


def test_a_schema_is_the_one_that_datasets_would_write():
    for schema in (ROW_SCHEMA, SLICE_SCHEMA):
        features = datasets.Features.from_arrow_schema(schema)
        assert features.arrow_schema == schema
        assert features.arrow_schema.metadata == schema.metadata
    assert ROW_SCHEMA.names == list(COLUMNS)


def test_every_type_is_described():
    columns = {
        "image": IMAGE,
        "numbers": pa.list_(pa.struct({"a": pa.float32(), "b": pa.list_(pa.float64())})),
        "whole": pa.int32(),
        "text": pa.string(),
        "yes": pa.bool_(),
    }
    features = datasets.Features.from_arrow_schema(described(columns))
    value = datasets.Value
    assert features == {
        "image": datasets.Image(),
        "numbers": datasets.List({"a": value("float32"), "b": datasets.List(value("float64"))}),
        "whole": value("int32"),
        "text": value("string"),
        "yes": value("bool"),
    }
    assert features.arrow_schema.metadata == described(columns).metadata
