"""Which structure has a voxel that several claim: they are laid on top of each other, and the last one has it."""

from collections.abc import Iterable, Mapping

from dataset_builder.vocabulary import Structure


def in_laying_order(names: Iterable[str], words: Mapping[str, Structure]) -> list[str]:
    """Structures in the order in which they are laid: by name, but a part after the whole that it is part of.

    Args:
        words: structures by canonical name.
    """
    return sorted(names, key=lambda name: (_depth(name, words), name))


def _depth(name: str, words: Mapping[str, Structure]) -> int:
    """How many wholes the structure is part of, one within the other."""
    whole = words[name].part_of
    return 0 if whole is None else 1 + _depth(whole, words)
