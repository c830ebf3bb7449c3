import pytest
import torch

from semsam.errors import TablesError
from semsam.neighbours import build
from semsam.tables import NeighbourTables, check_model


@pytest.fixture(scope="module")
def embedding() -> torch.Tensor:
    return torch.randn(300, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def tables(embedding) -> NeighbourTables:
    content = torch.ones(300, dtype=torch.bool)
    content[::11] = False
    return build(embedding, content, 6)


def test_first_are_the_tables_of_fewer_neighbours(embedding, tables):
    fewer = build(embedding, tables.content, 2)
    assert torch.equal(tables.first(2).ids, fewer.ids)
    assert torch.equal(tables.first(2).weights, fewer.weights)
    assert tables.first(6) is tables


def test_first_are_a_view_that_costs_nothing(tables):
    for part in ("ids", "weights", "log_weights"):
        assert getattr(tables.first(2), part).data_ptr() == getattr(tables, part).data_ptr()
        assert getattr(tables.first(2), part).shape == (300, 2)


def test_log_weights_of_control_tokens_are_nan(tables):
    assert tables.log_weights.isnan().any(1).tolist() == (~tables.content).tolist()
    assert torch.equal(tables.log_weights[tables.content], tables.weights[tables.content].log())


def test_more_neighbours_than_there_are_are_refused(tables):
    with pytest.raises(TablesError, match=r"have 6 neighbours.*7 are requested.*Remedy: build them with k=7"):
        tables.first(7)


def test_to_the_same_device_is_the_same_object(tables):
    assert tables.to("cpu") is tables
    assert tables.to("meta").ids.device.type == "meta"


@pytest.mark.parametrize(
    "bad",
    [
        {"ids": torch.zeros(300, 6, dtype=torch.int64)},
        {"ids": torch.zeros(300, dtype=torch.int32)},
        {"weights": torch.zeros(300, 5)},
        {"weights": torch.zeros(300, 6, dtype=torch.float64)},
        {"content": torch.ones(299, dtype=torch.bool)},
        {"content": torch.ones(300)},
    ],
)
def test_other_shapes_and_types_are_refused(tables, bad):
    parts = {"ids": tables.ids, "weights": tables.weights, "content": tables.content} | bad
    with pytest.raises(TablesError, match=r"ids int32\[V, K\]"):
        NeighbourTables(**parts)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_own_model_passes_in_any_precision(embedding, tables, dtype):
    check_model(tables, embedding.to(dtype))


def test_another_model_is_refused(tables):
    other = torch.randn(300, 16, generator=torch.Generator().manual_seed(1))
    with pytest.raises(TablesError, match=r"belong to another model.*cosines differ by.*Remedy: build the tables"):
        check_model(tables, other)


def test_another_vocabulary_is_refused(embedding, tables):
    with pytest.raises(TablesError, match="300 tokens in the tables, 301 in the model"):
        check_model(tables, torch.cat([embedding, embedding[:1]]))


def test_embedding_that_is_not_finite_is_refused(embedding, tables):
    with pytest.raises(TablesError, match="belong to another model"):
        check_model(tables, torch.full_like(embedding, float("nan")))


def test_tables_without_content_fit_any_model_of_their_size(embedding):
    check_model(build(embedding, torch.zeros(300, dtype=torch.bool), 3), embedding)
