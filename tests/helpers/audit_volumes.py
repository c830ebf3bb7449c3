"""Rows of volumes made in memory, and what an audit says of them; no data set folder is written."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from dataset_builder.building.rows import rows_of
from dataset_builder.building.worker import CELL_COLUMNS
from dataset_builder.check.balance import check_balance
from dataset_builder.check.baselines import check_baselines
from dataset_builder.check.findings import Findings
from dataset_builder.check.images import Images
from dataset_builder.check.items import Items
from dataset_builder.check.leakage import check_leakage
from dataset_builder.check.limits import Limits
from dataset_builder.check.places import check_places
from dataset_builder.check.reading import _item
from dataset_builder.check.rows import Names, check_rows
from dataset_builder.core.factors import CONVENTIONS, REGISTERS, cell_of
from dataset_builder.core.settings import Settings
from dataset_builder.dataset.format import ROW_SCHEMA
from dataset_builder.imaging.volume import Volume
from dataset_builder.slices.selection import SliceRecord, choose_slices, cut, load_slices, save_slices
from dataset_builder.slices.stacks import choose_stacks, cut_stack
from dataset_builder.vocabulary import structures


def slices_of(volume: Volume, settings: Settings, words=None) -> list[SliceRecord]:
    """What a build stores of a volume."""
    words = words or structures()
    chosen = choose_slices(volume, settings.planes, settings.slices_per_volume, settings.seed)
    records = [cut(volume, plane, index, words) for plane, index in chosen]
    count, size = settings.stacks_per_volume, settings.stack_size
    for plane, indices in choose_stacks(volume, settings.planes, count, size, settings.seed):
        records += cut_stack(volume, plane, indices, words)
    return records


def audit_volumes(
    volumes: Sequence[Volume],
    settings: Settings,
    words=None,
    change: Callable[[SliceRecord], SliceRecord] = lambda r: r,
    min_contrast: float | None = None,
) -> tuple[int, dict[str, list[str]]]:
    """How many rows there are, and every violation: check -> "problem: place".

    Args:
        change: changes a slice before rows are made of it.
        min_contrast: that is checked; by default the settings'.
    """
    words = words or structures()
    findings, items, files = Findings(), [], []
    with TemporaryDirectory() as folder, Images(findings) as images:
        names = Names(words)
        for number, volume in enumerate(volumes):
            records = [change(record) for record in slices_of(volume, settings, words)]
            if not records:
                continue
            files.append(Path(folder) / f"{number}.parquet")
            save_slices(records, files[-1])
            made = rows_of(load_slices(files[-1]), settings, words)
            rows = pa.Table.from_pylist(list(made), schema=ROW_SCHEMA).to_pylist()
            for row in rows:
                cell = "/".join(cell_of(**{column: row[column] for column in CELL_COLUMNS}))
                usable = _item(row, f"data/{cell}.parquet", names, findings)
                if usable is not None:
                    images.look([usable])
                    items.append(usable[0])
        asked = {"register": REGISTERS, "convention": CONVENTIONS}
        found = Items(tuple(sorted(items, key=lambda item: item.file)))
        check_rows(found, words, lambda _: asked, lambda _: None, images.size_of, findings)
        limits = Limits.of_settings([asdict(settings.clarity)])
        if min_contrast is not None:
            limits = replace(limits, min_contrast=min_contrast)
        check_places(found, images, files, words, findings, lambda *_: None, limits)
        check_balance(found, findings)
        check_leakage(found, images, findings)
        if found.rows:
            check_baselines(found, findings, lambda *_: None, images)
    return len(items), {
        check.name: [f"{v.problem}: {place}" for v in check.violations.values() for place in v.examples]
        for check in findings.checks.values()
        if check.violations
    }
