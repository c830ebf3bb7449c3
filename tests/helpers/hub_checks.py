"""What is on the stand-in for the Hub fits together."""

import io
import json
import re

import pyarrow.parquet as pq
from huggingface_hub import DatasetCard

from dataset_builder.dataset.manifest import record_from_text
from dataset_builder.dataset.summary import content_version

PLACE = "me/ground"
MORE = (("mri", "coronal", "relational", "none"), ("ct", "axial", "directional", "mask"))


def metadata(hub, place=PLACE, revision="main"):
    return DatasetCard(hub.read(place, "README.md", revision).decode()).data


def check_whole(hub, place=PLACE, revision="main"):
    """What is on the Hub fits together: record, card, files, counts. Recomputed from the files."""
    tree = hub.tree(place, revision)
    record = record_from_text(hub.read(place, "build.json", revision).decode())
    named = {file for note in record.splits.values() for file in note.files}
    assert named == {path for path in tree if path.endswith(".parquet")}
    rows = {path: pq.read_metadata(io.BytesIO(hub.read(place, path, revision))).num_rows for path in named}
    for note in record.splits.values():
        assert note.rows == sum(rows[file] for file in note.files)
        assert note.file_bytes == sum(tree[file].size for file in note.files)
    assert record.content == content_version({path: tree[path].sha256 for path in named})
    data = metadata(hub, place, revision)
    listed = {
        (config["config_name"], files["split"]): files["path"]
        for config in data["configs"]
        for files in config["data_files"]
    }
    assert set(listed) - {("all", "test")} == set(record.splits)
    infos = data["dataset_info"] if isinstance(data["dataset_info"], list) else [data["dataset_info"]]
    counts = {(info["config_name"], split["name"]): split["num_examples"] for info in infos for split in info["splits"]}
    assert set(counts) == set(listed)
    if ("all", "test") in counts:
        assert counts["all", "test"] == sum(n for path, n in rows.items() if path.startswith("data/"))
    for image in re.findall(r"\((examples/\w+\.png)\)", hub.read(place, "README.md", revision).decode()):
        assert image in tree
    croissant = json.loads(hub.read(place, "croissant.json", revision))
    objects = {one["contentUrl"]: one["sha256"] for one in croissant["distribution"] if "sha256" in one}
    assert objects == {path: tree[path].sha256 for path in named}
    return record


def data_files(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*.parquet"))}
