"""Audit of a data set folder: are its answers true and balanced, and can they be found only by looking at the image?

``reading`` goes through the files, ``schema`` and ``rows`` check rows by themselves and against each other,
``images`` decodes, ``maps``, ``places`` and ``answers`` compare with the label maps, ``located`` and
``measured`` check points, boxes and numbers, ``balance``, ``baselines`` and
``leakage`` test what could be had without looking, ``report`` and ``terminal`` show it.

May import ``building`` and the rooms before it; not ``gallery`` or ``hub``.
"""

from dataclasses import dataclass
from pathlib import Path

from dataset_builder.check.balance import Balance, check_balance
from dataset_builder.check.baselines import BlindBaselines, check_baselines
from dataset_builder.check.findings import Findings
from dataset_builder.check.images import Images
from dataset_builder.check.leakage import check_file_names, check_leakage, image_sizes
from dataset_builder.check.limits import Limits
from dataset_builder.check.place_priors import PlacePrior, place_priors
from dataset_builder.check.places import check_places
from dataset_builder.check.reading import Folder, check_files, read_items
from dataset_builder.check.reproduction import check_reproduction
from dataset_builder.check.rows import Names, check_rows
from dataset_builder.files.paths import PathLike
from dataset_builder.files.progress import Progress, silent

__all__ = ["Audit", "check_dataset"]


@dataclass(frozen=True)
class Audit:
    """All that an audit found.

    Args:
        dataset: name of the folder.
        content: what its record says that it holds; empty without a record.
        rows, volumes, facts, cells: how many.
        images: different images, by their size.
        places: what blind baselines get in questions for points, boxes and numbers.
    """

    dataset: str
    content: str
    rows: int
    volumes: int
    facts: int
    cells: int
    images: dict[str, int]
    findings: Findings
    balance: list[Balance]
    baselines: BlindBaselines
    places: list[PlacePrior]

    @property
    def ok(self) -> bool:
        """Whether nothing is violated."""
        return self.findings.ok


def check_dataset(
    dataset: PathLike, progress: Progress = silent, *, num_proc: int = 1, reproduce: bool = True
) -> Audit:
    """Audit a data set folder, ours or a user's.

    Args:
        dataset: a folder as ``mis-ground build`` makes it.
        progress: called as ``progress(stage, done, total)``.
        num_proc: worker processes that make rows again.
        reproduce: make every row again and compare; the other checks are made in any case.

    Raises:
        DatasetNotFoundError: if there is no data set.
    """
    dataset, findings = Path(dataset), Findings()
    folder = Folder(dataset, findings)
    check_files(folder, findings)
    names = Names(folder.vocabulary)
    with Images(findings) as images:
        if not folder.words:
            findings.note(
                "text", "The questions were written by another version: names of structures are not compared."
            )
        items = read_items(folder, images, findings, progress)
        check_rows(items, folder.words, folder.asked, folder.build_of, images.size_of, findings)
        if reproduce:
            check_reproduction(dataset, folder.record, items, images, findings, progress, num_proc)
        else:
            findings.skip("reproduction", "Not requested.")
        limits = Limits.of(folder.record.builds if folder.record else ())
        check_places(items, images, folder.slices, folder.words, findings, progress, limits)
        asked_about = sorted({name for item in items.rows for name in item.structures})
        check_file_names(dataset, asked_about, names, findings)
        # What has no options cannot favour one.
        balance = check_balance(items.choices, findings)
        check_leakage(items.choices, images, findings)
        baselines = check_baselines(items.choices, findings, progress, images)
    return Audit(
        dataset=dataset.resolve().name,
        content=folder.record.content if folder.record else "",
        rows=len(items.rows),
        volumes=len({item.volume for item in items.rows}),
        facts=len(items.facts),
        cells=len(items.cells),
        images=image_sizes(images),
        findings=findings,
        balance=balance,
        baselines=baselines,
        places=place_priors(items.rows),
    )
