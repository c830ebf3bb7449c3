"""Tables of several files are read whole, and no row is in two of them."""

from importlib import resources

import pytest
import yaml

from dataset_builder.core.errors import BuildError
from dataset_builder.questions.wording import wording
from dataset_builder.vocabulary import label_map_names, packaged, structures


@pytest.mark.parametrize(
    ("table", "rows"), [("structures", structures()), ("label_maps", label_map_names()), ("wording", wording())]
)
def test_every_file_of_a_table_is_read(table, rows):
    folder = resources.files("dataset_builder.vocabulary")
    files = [file for file in folder.iterdir() if file.name.startswith(f"{table}_") and file.name.endswith(".yaml")]
    assert len(files) >= 3
    assert sorted(rows) == sorted(row for file in files for row in yaml.safe_load(file.read_text(encoding="utf-8")))


def test_a_row_that_two_files_have_is_refused(monkeypatch):
    files = [("wording_a.yaml", "edge: 1\nplane: 2"), ("wording_b.yaml", "view: 3\nplane: 4")]
    monkeypatch.setattr(packaged, "packaged_files", lambda table: files)
    with pytest.raises(BuildError, match=r"'plane' is in another file.*wording_b\.yaml"):
        packaged.packaged_table("wording")
