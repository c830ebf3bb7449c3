"""Training and test split: which subjects may be in which, and the refusal of those that may not.

A data set folder is of one split. Phantoms belong to a split by their number. Of any other source a training split can
only be made beside the data sets that it must be disjoint from (``--held-out``): a subject of theirs goes into
quarantine, or stops the build if that is strict.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow.parquet as pq

from dataset_builder.errors import BuildError, DatasetNotFoundError, HeldOutError
from dataset_builder.factors import TEST, Split
from dataset_builder.record import RECORD_NAME, Record, read_record
from dataset_builder.sources.phantom import Phantoms, split_of_phantom

PHANTOM = Phantoms.name


@dataclass(frozen=True)
class Apart:
    """Refuses a subject that may not be in a split; called as ``apart(source, subject)``.

    Args:
        split: that is being built.
        taken: (source, subject) of what is held out, and the data set that it is in.
    """

    split: Split
    taken: dict[tuple[str, str], str] = field(default_factory=dict)

    def __call__(self, source: str, subject: str) -> None:
        """Raises :class:`HeldOutError` if the subject may not be in the split."""
        if source == PHANTOM and split_of_phantom(subject) != self.split:
            raise HeldOutError(
                f"This phantom is not one of the split '{self.split}'.",
                value=subject,
                remedy=f"Make phantoms for it: --split {self.split} --source phantom:N.",
            )
        if (source, subject) in self.taken:
            raise HeldOutError(
                "The subject is in a data set that is held out.",
                value=f"{source}/{subject} in {self.taken[source, subject]}",
                remedy="Nothing is to be done: it is left out. To have it here, take it out of the other data set.",
            )


def subjects_apart(split: Split, held_out: Sequence[Path], sources: Iterable[str]) -> Apart:
    """What keeps the subjects of a new data set apart from those of others.

    Args:
        split: of the new data set.
        held_out: folders of data sets whose subjects must not be in it.
        sources: names of the new data set's sources.

    Raises:
        BuildError: if a training split is to be made of scans and nothing says what is held out.
        DatasetNotFoundError: if a folder is no data set.
    """
    scans = sorted(set(sources) - {PHANTOM})
    if split != TEST and scans and not held_out:
        raise BuildError(
            "A training split of scans needs to know whose subjects it must not hold.",
            value=", ".join(scans),
            remedy="Build the test split first, and give its folder: --held-out DIR.",
        )
    taken: dict[tuple[str, str], str] = {}
    for folder in held_out:
        for identity in subjects_of(folder):
            taken.setdefault(identity, folder.name)
    return Apart(split, taken)


def subjects_of(folder: Path) -> set[tuple[str, str]]:
    """(source, subject) of everything that a data set asks about or keeps slices of.

    Raises:
        DatasetNotFoundError: if the folder is no data set.
    """
    found: set[tuple[str, str]] = set()
    for note in read_record(folder).splits.values():
        for file in note.files:
            for batch in pq.ParquetFile(folder / file).iter_batches(columns=["source", "subject"]):
                found |= set(zip(batch["source"].to_pylist(), batch["subject"].to_pylist(), strict=True))
    return found


def split_of_dataset(folder: Path) -> str | None:
    """The split of a data set folder; ``None`` if there is none, or none that can be read."""
    if not (folder / RECORD_NAME).is_file():
        return None
    try:
        return split_of_record(read_record(folder))
    except DatasetNotFoundError:
        return None


def split_of_record(record: Record) -> str:
    """What the data set's builds are for."""
    return record.builds[0].split if record.builds else TEST
