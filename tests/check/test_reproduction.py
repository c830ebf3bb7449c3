"""Rows are made again from the slice store: whatever differs is named with config, split, row and column."""

from dataclasses import fields, replace

import pytest

from dataset_builder.check import reproduction
from dataset_builder.check.findings import Findings
from dataset_builder.check.images import Images
from dataset_builder.check.items import Items
from dataset_builder.check.reading import Folder, read_items
from dataset_builder.check.reproduction import check_reproduction
from dataset_builder.dataset.format import COLUMNS


@pytest.fixture(scope="module")
def read(ground):
    """The small data set as the audit reads it: (folder, record, items, images)."""
    findings = Findings()
    folder = Folder(ground, findings)
    with Images(findings) as images:
        items = read_items(folder, images, findings, lambda *_: None)
    return ground, folder.record, items, images


def reproduced(read, rows=None, record=None, images=None):
    folder, known, items, seen = read
    findings = Findings()
    rows = items if rows is None else Items(tuple(rows))
    check_reproduction(folder, record or known, rows, images or seen, findings, lambda *_: None)
    return findings.checks["reproduction"]


def changed(value):
    """Another value of the same type."""
    if isinstance(value, str):
        return f"{value}x"
    if isinstance(value, tuple):
        return (*value[:-1], changed(value[-1])) if value else (1,)
    return 1 if value is None else value + 1


def test_every_column_and_every_image_is_compared(read):
    """A row is changed in each column, one has an image of another one, one is missing, two change places."""
    rows = list(read[2].rows)
    columns = [name for name in COLUMNS if name not in ("images", "source", "subject")]
    wanted = {}
    for number, name in enumerate(columns):
        row = rows[number]
        value = getattr(row, name)
        rows[number] = replace(row, **{name: changed(value)})
        problem = reproduction.FOREIGN if name == "id" else f"The column {name} is not what the build produces."
        wanted[problem] = rows[number].id
    at = len(columns)
    other = next(row for row in rows[at:] if row.images != rows[at].images)
    rows[at] = replace(rows[at], images=other.images)
    wanted[reproduction.PIXELS] = rows[at].id
    lost = rows.pop(at + 1)
    wanted[reproduction.MISSING] = lost.id
    last = next(n for n in range(len(rows) - 1, 0, -1) if rows[n].file == rows[n - 1].file)
    rows[last - 1 : last + 1] = rows[last - 1 : last + 1][::-1]
    wanted[reproduction.ORDER] = rows[last].id
    check = reproduced(read, rows)
    assert check.violations.keys() == wanted.keys()
    for problem, row in wanted.items():
        assert any(row in example for example in check.violations[problem].examples), problem
    # Config and split, row and column: enough to find the place.
    (place,) = check.violations["The column margin_mm is not what the build produces."].examples
    row = rows[columns.index("margin_mm")]
    assert place.startswith("/".join(row.file.removesuffix(".parquet").split("/")[1:]))


def test_a_row_of_a_volume_without_slices_is_named(read):
    rows = list(read[2].rows)
    rows[0] = replace(rows[0], subject="nobody")
    check = reproduced(read, rows)
    assert "The slices of a row's volume are not in the data set." in check.violations


def test_rows_of_another_version_are_not_made_again(read):
    record = read[1]
    for change in ({"package": "0.0.1"}, {"version": "0.0.1"}):
        older = replace(record, builds=tuple(replace(build, **change) for build in record.builds))
        check = reproduced(read, record=older)
        assert check.status == "not checked"
        assert "0.0.1" in check.skipped


def test_without_slices_nothing_is_made_again(read):
    record = read[1]
    without = replace(record, builds=tuple(record.only(record.questions).builds))
    check = reproduced(read, record=without)
    assert check.status == "not checked"
    assert "slices" in check.skipped


def test_other_settings_are_found(read):
    record = read[1]
    (build,) = record.builds
    other = replace(record, builds=(replace(build, settings=build.settings | {"seed": 7}),))
    assert reproduced(read, record=other).violations.keys() >= {reproduction.FOREIGN, reproduction.MISSING}
    unknown = replace(record, builds=(replace(build, settings=build.settings | {"unheard": 7}),))
    assert "The rows cannot be rebuilt." in reproduced(read, record=unknown).violations


def test_all_fields_of_an_item_are_columns(read):
    assert {field.name for field in fields(type(read[2].rows[0]))} - {"file", "images"} == set(COLUMNS) - {"images"}
