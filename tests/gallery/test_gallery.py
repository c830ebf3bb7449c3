"""The gallery's file: which examples are on it, and that it embeds what it needs."""

import json
import os
import re
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_builder.core.errors import BuildError, DatasetNotFoundError
from dataset_builder.gallery.gallery import FILTERS, choose_examples, write_gallery
from dataset_builder.gallery.pages import GENERATOR
from tests.helpers.gallery_rows import row, write


def embedded(page, name):
    text = re.search(rf'<script type="application/json" id="{name}">(.*?)</script>', page, re.DOTALL)[1]
    return json.loads(text)


def test_every_cell_has_its_examples(page):
    items = embedded(page.read_text(encoding="utf-8"), "data")["items"]
    cells = Counter(
        (item["modality"], item["plane"], item["terminology"], item["prompt"], item["input"], item["view"])
        for item in items
    )
    assert cells == {
        ("ct", "axial", "directional", "box", "slice", "plain"): 2,
        ("ct", "axial", "directional", "text_box", "slice", "plain"): 2,
        ("ct", "coronal", "directional", "none", "slice", "plain"): 2,
        ("ct", "sagittal", "directional", "box", "stack", "plain"): 1,
        ("mri", "axial", "anatomical", "mask", "slice", "plain"): 2,
    }
    assert all(item["source"] and item["licence"] for item in items)


def test_examples_of_a_cell_differ(page):
    items = embedded(page.read_text(encoding="utf-8"), "data")["items"]
    one, other = [item for item in items if item["plane"] == "axial" and item["prompt"] == "box"]
    assert one["register"] != other["register"]
    assert one["convention"] != other["convention"]
    assert one["relation"] != other["relation"]


def test_more_examples_than_kinds_are_given_when_asked_for(dataset, tmp_path):
    assert write_gallery(dataset, tmp_path / "all.html", per_cell=100) == 40 + 8 + 3 + 2 + 1


def test_rows_are_chosen_alike_every_time(dataset, page, tmp_path):
    write_gallery(dataset, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_choice_reaches_every_value():
    table = pa.Table.from_pylist([{name: row(number)[name] for name in FILTERS} for number in range(40)])
    seen = Counter()
    rows = choose_examples(table, 2, seen)
    assert len(rows) == len(set(rows)) == 2
    assert seen["register", "lay"] == seen["register", "clinical"] == 1
    again = choose_examples(table, 40, seen)
    assert again == list(range(40))


def test_an_image_is_embedded_once(dataset, tmp_path):
    write_gallery(dataset, tmp_path / "all.html", per_cell=100)
    text = (tmp_path / "all.html").read_text(encoding="utf-8")
    images = embedded(text, "images")
    items = embedded(text, "data")["items"]
    assert len(images) == len(set(images))
    assert len(images) < sum(len(item["images"]) for item in items)
    assert {number for item in items for number in item["images"]} == set(range(len(images)))
    assert text.count(images[0]) == 1


def test_only_needed_row_groups_are_read(dataset, tmp_path, monkeypatch):
    read = []
    original = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda self, group: read.append(group) or original(self, group)
    )
    write_gallery(dataset, tmp_path / "page.html", per_cell=1)
    assert len(read) == 5  # one a file, though the largest has nine


def test_progress_is_told(dataset, tmp_path):
    calls = []
    write_gallery(dataset, tmp_path / "page.html", progress=lambda *call: calls.append(call))
    assert calls[0] == ("gallery", 0, 5)
    assert calls[-1] == ("gallery", 5, 5)


def test_a_folder_without_data_set_is_told(tmp_path):
    with pytest.raises(DatasetNotFoundError, match=r"not a MIS-Ground data set.*mis-ground build"):
        write_gallery(tmp_path, tmp_path / "page.html")


def test_a_broken_file_is_told_and_the_old_page_stays(tmp_path):
    folder = write(tmp_path / "set", [row(1)])
    (folder / "data" / "ct_axial" / "directional_label.parquet").write_bytes(b"PAR1 and then nothing")
    out = tmp_path / "page.html"
    out.write_text(f"{GENERATOR} the old page")
    with pytest.raises(BuildError, match=r"cannot be read.*directional_label\.parquet"):
        write_gallery(folder, out)
    assert out.read_text() == f"{GENERATOR} the old page"
    assert sorted(os.listdir(tmp_path)) == ["page.html", "set"]


def test_a_table_of_something_else_is_told(tmp_path):
    (tmp_path / "data").mkdir()
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "data" / "x.parquet")
    with pytest.raises(BuildError, match=r"lacks columns that every row has.*answer"):
        write_gallery(tmp_path, tmp_path / "page.html")


def test_a_folder_in_the_way_is_told(dataset, tmp_path):
    with pytest.raises(BuildError, match="is a folder"):
        write_gallery(dataset, tmp_path)
