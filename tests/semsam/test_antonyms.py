import itertools

import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from semsam import antonyms, neighbours
from semsam.content import content_tokens
from semsam.embedding import read
from semsam.neighbours import build
from semsam.settings import Settings
from tests.helpers import tiny_models

TERMS = {term for axis in antonyms.axes() for term in axis.one + axis.other}


def word_tokenizer(*words: str) -> PreTrainedTokenizerFast:
    vocabulary = {word: i for i, word in enumerate(words)}
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token=words[0])))


def opposites(*words: str) -> set[tuple[str, str]]:
    return {(words[a], words[b]) for a, b in antonyms.pairs(word_tokenizer(*words)).tolist()}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("left", "right"),
        ("superior", "inferior"),
        ("anterior", "posterior"),
        ("medial", "lateral"),
        ("proximal", "distal"),
        ("above", "below"),
        ("front", "behind"),
        ("upper", "lower"),
        ("adjacent", "apart"),
        ("inside", "outside"),
        ("larger", "smaller"),
        ("same", "opposite"),
        ("head", "feet"),
        ("cranial", "caudal"),
        ("ventral", "dorsal"),
        ("superficial", "deep"),
        ("near", "far"),
    ],
)
def test_opposites_are_listed(one, other):
    assert opposites(one, other) == {(one, other), (other, one)}


@pytest.mark.parametrize(("one", "other"), [("left", "leftmost"), ("left", "superior"), ("right", "larger")])
def test_other_pairs_are_not(one, other):
    assert opposites(one, other) == set()


def test_no_term_is_its_own_opposite_on_any_axis():
    for axis in antonyms.axes():
        assert not set(axis.one) & set(axis.other)


def test_no_two_terms_are_at_once_on_one_side_and_opposite():
    # "dorsal" is a side of the trunk and of the hand; within a pair of terms the axes must not contradict each other.
    same = {
        frozenset(pair)
        for axis in antonyms.axes()
        for side in (axis.one, axis.other)
        for pair in itertools.combinations(side, 2)
    }
    against = {frozenset((a, b)) for axis in antonyms.axes() for a in axis.one for b in axis.other}
    assert not same & against


def test_surface_forms():
    forms = ["left", "Left", "LEFT", "\u0120left", "\u2581Left", " LEFT", "left</w>"]
    assert opposites("right", *forms) == {pair for form in forms for pair in (("right", form), (form, "right"))}


def test_other_forms_are_not_covered():
    assert opposites("right", "lEft", "##left", "lefts", "\u0120\u0120left", "le", "left.") == set()


def test_processor_stands_for_its_tokenizer():
    class Processor:
        tokenizer = word_tokenizer("up", "down")

    assert antonyms.pairs(Processor).tolist() == [[0, 1], [1, 0]]


def test_not_covered_are_those_without_a_token():
    missing = antonyms.not_covered(word_tokenizer("Left", "\u0120superior", "supe"))
    assert missing == sorted(TERMS - {"left", "superior"})
    assert antonyms.not_covered(tiny_models.tiny_tokenizer()) == sorted(TERMS)
    assert antonyms.pairs(tiny_models.tiny_tokenizer()).shape == (0, 2)


def token(tokenizer, text: str) -> int:
    (id,) = tokenizer.encode(text, add_special_tokens=False)
    return id


def test_guard_on_a_real_model(smollm2):
    """Opposites are neighbours without the guard, and gone with it; the next nearest move in."""
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    embedding = read(smollm2)
    content = content_tokens(tokenizer, None, len(embedding))
    words = [" superior", " anterior", " above", " left", "Left", " Left", " inside"]
    tokens = torch.tensor([token(tokenizer, word) for word in words])
    apart = antonyms.pairs(tokenizer)
    plain, weights = neighbours.nearest(embedding, content, tokens, 16)
    guarded, guarded_weights = neighbours.nearest(embedding, content, tokens, 16, apart=apart)
    inferior = token(tokenizer, " inferior")
    assert plain[0, 1] == inferior
    assert weights[0, 1] == pytest.approx(0.77, abs=0.01)
    opposite = {tuple(pair) for pair in apart.tolist()}
    for row, (before, after) in enumerate(zip(plain.tolist(), guarded.tolist(), strict=True)):
        kept = [other for other in before if (before[0], other) not in opposite]
        assert after[: len(kept)] == kept
        assert len(kept) < 16 or words[row] == " LEFT"
        assert not any((before[0], other) in opposite for other in after)
    assert (guarded_weights > 0).all()


def test_tables_say_which_guard_they_have(tmp_path, monkeypatch):
    monkeypatch.setenv("MIS_GROUND_CACHE", str(tmp_path / "cache"))
    folder = tiny_models.save_tiny_llama(tmp_path / "model")
    assert neighbours.for_model(folder, settings=Settings(k=3, guard="antonyms")).guard == "antonyms"
    # The tiny tokenizer has no term as a token: the tables are the same, but they must not be taken for each other.
    assert neighbours.for_model(folder, settings=Settings(k=3)).guard == "none"
    assert neighbours.for_model(folder, settings=Settings(k=3, guard="antonyms")).guard == "antonyms"


def test_pairs_apart_are_apart_in_the_tables():
    words = ["left", "right", "Right", "up", "down", "a", "b", "c"]
    embedding = torch.randn(len(words), 4, generator=torch.Generator().manual_seed(0))
    embedding[:3] = torch.tensor([1.0, 2.0, 3.0, 4.0])
    pairs = antonyms.pairs(word_tokenizer(*words))
    tables = build(embedding, torch.ones(len(words), dtype=torch.bool), len(words), apart=pairs)
    assert 1 not in tables.ids[0]
    assert 2 not in tables.ids[0]
    assert 0 not in tables.ids[1]
    assert 2 in tables.ids[1]
