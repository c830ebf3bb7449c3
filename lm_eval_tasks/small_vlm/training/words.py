"""The small model's tokenizer, made from the wording of the questions that it is trained on.

Its vocabulary has, each as one token: every term, structure name and letter that an answer can be; every coordinate and
every length, angle and ratio; every stretch of wording between two of them, however long; and, for other text, words
and single characters. A question is some twenty-five tokens, a box five. Of all ways to cut a text into tokens it takes
the one with the fewest.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from dataset_builder.questions.wording import wording
from dataset_builder.vocabulary import Structure

PAD, END, IMAGE, UNKNOWN = "<pad>", "<end>", "<image>", "<unknown>"

CHAT_TEMPLATE = """\
{%- for message in messages %}
{%- if message.content is string %}{{ message.content }}{%- else %}
{%- for part in message.content %}
{%- if part.type == 'image' %}{{ '<image>' }}{%- else %}{{ part.text }}{%- endif %}
{%- endfor %}{%- endif %}
{%- if message.role == 'assistant' %}{{ '<end>' }}{%- endif %}{%- endfor %}"""
"""No word marks who speaks: the prompt is the same with and without it."""

TERM_COST, TOKEN_COST, CHARACTER_COST = 0.9, 1.0, 6.0

GRID = range(0, 1001, 10)
FIRST = tuple(f"[{thousandth}" for thousandth in GRID)
"""A box's or point's first coordinate, in thousandths of the image's width, with the bracket before it."""
NEXT = tuple(f", {thousandth}" for thousandth in GRID)
"""Each further coordinate."""
CLOSE = "]"
LENGTHS = (*range(1, 101), *range(102, 201, 2), *range(205, 601, 5))
MILLIMETRES = tuple(f"{length} mm" for length in LENGTHS)
"""Lengths, never more than 2.5 % apart from 40 mm on."""
ANGLES = tuple(range(181))
DEGREES = tuple(f"{angle} degrees" for angle in ANGLES)
RATIO_VALUES = (*(n / 100 for n in range(5, 300)), *(n / 10 for n in range(30, 151)))
RATIOS = tuple(f"{ratio:.2f}" for ratio in RATIO_VALUES)
"""Ratios; also the first decimals of a pixel's size."""
DECIMALS = tuple(f".{n:02d}" for n in range(100))
"""The first two decimals of other numbers."""

WHOLE = r"\nAnswer with[^\n]*\nAnswer:|\d+ x \d+ pixels"
"""Stretches of wording that are one token although there are numbers and terms in them."""
NUMBERS = r"\d+\.\d+|\d+(?: mm| degrees)?"
"""Numbers between two stretches."""


def terms(structures: Iterable[Structure]) -> set[str]:
    """Everything that a choice can be, or a part of it."""
    words = wording()
    found = {word for term in words["terms"].values() for word in term.values()}
    found |= set(words["image_terms"].values()) | set("ABC") | {f"image {number}" for number in range(1, 9)}
    return found | {name for structure in structures for name in (structure.clinical, structure.lay)}


def values() -> set[str]:
    """What else is filled into the wording: edges, ends, planes, modalities, digits."""
    words = wording()
    tables = ("edge", "end", "plane", "modality")
    return {word for table in tables for row in words[table].values() for word in row.values()} | set("0123456789")


def make_tokenizer(texts: Sequence[str], structures: Mapping[str, Structure]) -> PreTrainedTokenizerFast:
    """The tokenizer for these texts.

    Args:
        texts: prompts and answers as they are trained on.
        structures: the vocabulary of names; those that are in no text get no token.
    """
    said = set(texts)
    joined = "\n".join(sorted(said))
    answers = {term for term in terms(structures.values()) if term in joined}
    either = "|".join(re.escape(value) for value in sorted(answers | values(), key=lambda v: (-len(v), v)))
    whole = {found for text in said for found in re.findall(WHOLE, text)}
    between = re.compile(rf"{WHOLE}|(?<![A-Za-z0-9])(?:{NUMBERS}|{either})(?![A-Za-z0-9'])")
    stretches: Counter[str] = Counter()
    for text in said:
        stretches.update(part for part in between.split(text.replace(IMAGE, "")) if part)
    # The words of the edges of an image ("left", "right") stand in fixed wording too.
    fixed = [part for row in wording()["context"].values() for text in row.values() for part in _literal(text)]
    fixed += [part for row in wording()["stack_context"].values() for text in row.values() for part in _literal(text)]
    words = {word for text in said for word in re.findall(r" ?[A-Za-z'-]+", text)}
    words -= {f" {word}" for word in answers | values()}  # a term is the same token behind a space
    pieces = dict.fromkeys(answers, -TERM_COST)
    quantities = (*FIRST, *NEXT, CLOSE, *MILLIMETRES, *DEGREES, *RATIOS, *DECIMALS)
    for piece in (*values(), *quantities, *sorted(whole), *fixed, *stretches, *words):
        pieces.setdefault(piece, -TOKEN_COST if len(piece) > 1 else -CHARACTER_COST)
    for character in map(chr, (10, *range(32, 127))):
        pieces.setdefault(character, -CHARACTER_COST)
    for short in (*"0123456789.,;?\n ]", ", ", "; ", ": "):
        pieces[short] = -TOKEN_COST
    special = [PAD, END, IMAGE, UNKNOWN]
    vocabulary = [(token, -100.0) for token in special] + sorted(pieces.items())
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=special.index(UNKNOWN)))
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(special)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        extra_special_tokens={"image_token": IMAGE},
        padding_side="left",
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def _literal(template: str) -> list[str]:
    return [part for part in re.split(r"\{\w+\}", template) if part]


def ids_of(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> list[int]:
    """The tokens that these texts are, each one."""
    known = tokenizer.get_vocab()
    return [known[text] for text in texts]


def said_length(mm: float) -> str:
    """A length as the model says it: the nearest that it has a token for.

    >>> said_length(131.2)
    '132 mm'
    """
    return MILLIMETRES[_nearest(mm, LENGTHS)]


def said_ratio(ratio: float) -> str:
    """A ratio likewise."""
    return RATIOS[_nearest(ratio, RATIO_VALUES)]


def said_angle(degrees: float) -> str:
    """An angle likewise."""
    return DEGREES[_nearest(degrees, ANGLES)]


def _nearest(value: float, values: Sequence[float]) -> int:
    return min(range(len(values)), key=lambda number: abs(values[number] - value))
