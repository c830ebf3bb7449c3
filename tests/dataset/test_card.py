import re
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import load_dataset, load_dataset_builder
from datasets.exceptions import NonMatchingSplitsSizesError
from huggingface_hub import DatasetCard
from PIL import Image

from dataset_builder.core.settings import Settings
from dataset_builder.dataset.card import make_card, merge_card, template_path, write_card
from dataset_builder.dataset.card_text import table
from dataset_builder.dataset.licences import licence, most_restrictive
from dataset_builder.dataset.manifest import Record, read_record, record_from_text, record_to_text
from tests.helpers.small_ground import CELLS, write_ground
from tests.helpers.tiny_dataset import row


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    return write_ground(tmp_path_factory.mktemp("card") / "ground")


def text_of(ground):
    return (ground / "README.md").read_text(encoding="utf-8")


def test_the_template_is_found():
    assert template_path().is_file()


def test_the_metadata_is_valid_and_says_what_is_there(ground):
    card = DatasetCard(text_of(ground))
    assert card.data.license == "apache-2.0"
    assert card.data.size_categories == "n<1K"
    configs = card.data.to_dict()["configs"]
    assert [config["config_name"] for config in configs] == ["all", "ct_axial", "ct_coronal", "mri_axial", "slices"]
    assert [config.get("default") for config in configs] == [True, None, None, None, None]
    assert configs[0]["data_files"] == [{"split": "test", "path": "data/*/*.parquet"}]
    assert configs[1]["data_files"] == [
        {"split": "directional_box", "path": "data/ct_axial/directional_box.parquet"},
        {"split": "directional_none", "path": "data/ct_axial/directional_none.parquet"},
    ]


def test_sizes_and_features_are_those_of_the_files(ground):
    infos = {info["config_name"]: info for info in DatasetCard(text_of(ground)).data.to_dict()["dataset_info"]}
    files = sorted((ground / "data").rglob("*.parquet"))
    (everything,) = infos["all"]["splits"]
    assert everything["num_examples"] == sum(pq.read_metadata(path).num_rows for path in files) == 4 * len(CELLS)
    assert everything["num_bytes"] == infos["all"]["dataset_size"] == sum(pq.read_table(path).nbytes for path in files)
    assert infos["all"]["download_size"] == sum(path.stat().st_size for path in files)
    assert {split["name"] for split in infos["ct_axial"]["splits"]} == {"directional_box", "directional_none"}
    assert {feature["name"] for feature in infos["all"]["features"]} == set(row(CELLS[0], 0))
    builder = load_dataset_builder(str(ground), "slices")
    assert list(builder.info.features) == ["source", "subject", "licence", "image"]


def test_load_dataset_checks_the_number_of_rows(ground, tmp_path):
    assert len(load_dataset(str(ground), split="test", cache_dir=str(tmp_path / "cache"))) == 16
    wrong = tmp_path / "wrong"
    write_ground(wrong)
    (wrong / "README.md").write_text(text_of(wrong).replace("num_examples: 16", "num_examples: 17"), encoding="utf-8")
    with pytest.raises(NonMatchingSplitsSizesError):
        load_dataset(str(wrong), split="test", cache_dir=str(tmp_path / "cache2"))


def test_the_text_counts_what_is_in_it(ground):
    text = text_of(ground)
    assert "16 questions about 1 slices of 1 volumes" in text
    assert "| `directional_box` | 4 | 0 | 0 |" in text
    assert "| **all** | 8 | 4 | 4 |" in text
    assert "0 case(s) could not be used" in text
    assert "2 structures are asked about: liver, spleen." in text
    assert "{{" not in text


def test_each_prompt_has_an_example_with_its_image(ground):
    text = text_of(ground)
    shown = re.findall(r"!\[([^\]]+)\]\((examples/\w+\.png)\)", text)
    assert {image for _, image in shown} == {f"examples/{cell[3]}.png" for cell in CELLS}
    assert all(alt for alt, _ in shown)
    for path in (ground / "data").rglob("*.parquet"):
        first = pq.read_table(path).to_pylist()[0]
        image = (ground / "examples" / f"{first['prompt']}.png").read_bytes()
        assert image == first["images"][0]["bytes"]
        assert Image.open(BytesIO(image)).size == (64, 64)
        assert f"> {first['question'].splitlines()[0]}" in text


def test_what_can_be_had_without_looking_is_counted(tmp_path):
    text = text_of(write_ground(tmp_path / "ground", [("ct", "axial", "directional", "box")]))
    assert "| 1 | directional | 4 | 50.0 % | 50.0 % | 50.0 % | 4 |" in text


def test_the_most_restrictive_licence_governs(tmp_path):
    ground = write_ground(tmp_path / "ground")
    files = {("ct_axial", "directional_box"): ["data/ct_axial/directional_box.parquet"]}
    names = ["CC0-1.0", "CC-BY-NC-4.0", "CC-BY-4.0"]
    volumes = [{"source": f"s{n}", "licence": name, "citation": "Someone | else"} for n, name in enumerate(names)]
    text = write_card(ground, Settings(), files, 0, volumes).read_text()
    assert DatasetCard(text).data.license == "cc-by-nc-4.0"
    assert "It forbids commercial use." in text
    assert "Someone \\| else" in text
    assert len(re.findall(r"\| `s\d`", text)) == 3
    data = DatasetCard(write_card(ground, Settings(), files, 0, [{"licence": "Hospital only!"}]).read_text()).data
    assert (data.license, data["license_name"]) == ("other", "hospital-only")


def test_licences_are_ordered_and_an_unknown_one_lets_nothing_be_passed_on():
    assert most_restrictive(["Apache-2.0", "cc0-1.0"]).id == "Apache-2.0"
    assert most_restrictive(["CC-BY-NC-ND-4.0", "unknown", "CC0-1.0"]).id == "unknown"
    assert not licence("unknown").share
    assert not licence("CC-BY-ND-4.0").share
    assert licence("cc-by-NC-4.0").share
    with pytest.raises(ValueError, match="no licence"):
        most_restrictive([])


def test_the_record_survives_being_written(ground):
    record = read_record(ground)
    assert record_from_text(record_to_text(record)) == record
    assert record.splits["ct_axial", "directional_box"].rows == 4


def test_another_builds_splits_take_the_place_of_those_of_the_same_name(ground, tmp_path):
    old = read_record(ground)
    new = read_record(write_ground(tmp_path / "new", [CELLS[0], ("mri", "coronal", "relational", "none")], seed=3))
    merged = old.merged_with(new)
    assert set(merged.splits) == set(old.splits) | set(new.splits)
    assert merged.build_of(("ct_axial", "directional_box")).settings["seed"] == 3
    assert merged.build_of(("ct_axial", "directional_none")).settings["seed"] == 0
    assert [split for config, split in merged.splits if config == "ct_axial"] == ["directional_none", "directional_box"]
    assert merged.merged_with(old).merged_with(new) == merged.merged_with(new)


def test_splits_of_one_build_come_together_again(ground):
    record = read_record(ground)
    keys = list(record.splits)
    part, rest = record.only(keys[:2]), record.only(keys[2:])
    assert Record(record.builds).splits == part.merged_with(rest).splits
    assert len(part.merged_with(rest).builds) == 1


def test_an_edited_card_keeps_its_owners_words(ground, tmp_path):
    old = read_record(ground)
    added = read_record(write_ground(tmp_path / "new", [("mri", "coronal", "relational", "none")], slices=False))
    merged = old.merged_with(added)
    edited = text_of(ground).replace("# MIS-Ground\n", "# Our ground\n\nRead this first.\n")
    edited = edited.replace("tags:\n", "paperswithcode_id: our-ground\ntags:\n- ours\n")
    edited = edited.replace(
        "configs:\n", "configs:\n- config_name: notes\n  data_files: notes/*.csv\n  default: true\n"
    )
    text = merge_card(edited, merged, "us/ground")
    card = DatasetCard(text)
    assert "# Our ground\n\nRead this first.\n" in text
    assert "20 questions" in text
    assert "16 questions" not in text
    assert '"us/ground"' in text
    assert card.data["paperswithcode_id"] == "our-ground"
    assert "ours" in card.data.tags
    assert "medical" in card.data.tags
    configs = {config["config_name"]: config for config in card.data["configs"]}
    assert list(configs) == ["all", "ct_axial", "ct_coronal", "mri_axial", "mri_coronal", "slices", "notes"]
    assert configs["notes"]["data_files"] == "notes/*.csv"
    assert [name for name, config in configs.items() if config.get("default")] == ["all"]
    assert {info["config_name"] for info in card.data["dataset_info"]} == set(configs) - {"notes"}
    assert merge_card(text, merged, "us/ground") == text
    assert merge_card(make_card(merged, "a/b"), merged, "a/b") == make_card(merged, "a/b")


def test_a_table_is_not_broken_by_its_cells():
    assert table(["a"], [["x|y\nz"], [1234]]).splitlines()[2:] == ["| x\\|y z |", "| 1,234 |"]


def test_load_dataset_never_shows_an_earlier_build_of_the_same_name(tmp_path):
    def build(folder, ids):
        path = folder / "data" / "ct_axial" / "directional_box.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [row(CELLS[0], number) | {"id": one} for number, one in enumerate(ids)]
        pq.write_table(pa.Table.from_pylist(rows), path)
        files = {("ct_axial", "directional_box"): [path.relative_to(folder).as_posix()]}
        write_card(folder, Settings(), files, 0, [{"licence": "MIT"}])

    places = {tmp_path / "here" / "ground": ["a"], tmp_path / "there" / "ground": ["b"]}
    for folder, ids in places.items():
        build(folder, ids)
    for folder, ids in [*places.items(), *places.items()]:
        assert load_dataset(str(folder), split="test", cache_dir=str(tmp_path / "cache"))["id"] == ids
        assert load_dataset(str(folder), "ct_axial", cache_dir=str(tmp_path / "cache"))["directional_box"]["id"] == ids
    build(folder, ["c"])
    assert load_dataset(str(folder), split="test", cache_dir=str(tmp_path / "cache"))["id"] == ["c"]
