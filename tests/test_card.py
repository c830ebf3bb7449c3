from datasets import load_dataset_builder
from huggingface_hub import DatasetCard

from dataset_builder.card import configs_of, template_path, write_card
from dataset_builder.settings import Settings

ROWS = {("ct_axial", "directional_box"): 12, ("ct_axial", "anatomical_none"): 3, ("mri_coronal", "relational_mask"): 4}
VOLUMES = [
    {"source": "sample", "subject": "a", "licence": "Apache-2.0", "citation": "Someone | else", "url": ""},
    {"source": "nnunet", "subject": "b", "licence": "CC-BY-4.0", "citation": "", "url": ""},
]


def written(tmp_path):
    return write_card(tmp_path, Settings(), ROWS, 5, VOLUMES, ["liver", "spleen"], 2).read_text()


def test_the_template_is_found():
    assert template_path().is_file()


def test_the_metadata_is_valid_and_says_what_is_there(tmp_path):
    card = DatasetCard(written(tmp_path))
    assert card.data.license == ["apache-2.0", "cc-by-4.0"]
    assert card.data.size_categories == "n<1K"
    names = [config["config_name"] for config in card.data.to_dict()["configs"]]
    assert names == ["all", "ct_axial", "mri_coronal", "slices"]


def test_the_default_config_reads_every_file():
    first, axial, *_ = configs_of(ROWS)
    assert first["default"] is True
    assert first["data_files"] == [{"split": "test", "path": "data/*/*.parquet"}]
    assert axial["data_files"] == [
        {"split": "directional_box", "path": "data/ct_axial/directional_box.parquet"},
        {"split": "anatomical_none", "path": "data/ct_axial/anatomical_none.parquet"},
    ]


def test_the_text_counts_what_is_in_it(tmp_path):
    text = written(tmp_path)
    assert "19 questions about 5 slices of 2 volumes" in text
    assert "| **all** | 15 | 4 |" in text
    assert "2 case(s) could not be used" in text
    assert "2 structures are asked about: liver, spleen." in text
    assert "Someone \\| else" in text
    assert "{{" not in text


def test_an_unknown_licence_is_called_other(tmp_path):
    write_card(tmp_path, Settings(), ROWS, 5, [{"source": "nnunet", "licence": "hospital only"}])
    assert DatasetCard.load(tmp_path / "README.md").data.license == "other"


def test_datasets_reads_the_configs(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    written(tmp_path)
    for config, split in ROWS:
        (tmp_path / "data" / config).mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"id": ["1"]}), tmp_path / "data" / config / f"{split}.parquet")
    (tmp_path / "slices").mkdir()
    pq.write_table(pa.table({"id": ["1"]}), tmp_path / "slices" / "test.parquet")
    assert load_dataset_builder(str(tmp_path)).config.name == "all"
    assert load_dataset_builder(str(tmp_path), "mri_coronal").config.name == "mri_coronal"


def test_load_dataset_never_shows_an_earlier_build_of_the_same_name(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import load_dataset

    def build(folder, ids):
        path = folder / "data" / "ct_axial" / "directional_box.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"id": ids}), path)
        write_card(folder, Settings(), {("ct_axial", "directional_box"): len(ids)}, 5, VOLUMES)

    places = {tmp_path / "here" / "ground": ["a"], tmp_path / "there" / "ground": ["b"]}
    for folder, ids in places.items():
        build(folder, ids)
    for folder, ids in [*places.items(), *places.items()]:
        assert load_dataset(str(folder), split="test", cache_dir=str(tmp_path / "cache"))["id"] == ids
        assert load_dataset(str(folder), "ct_axial", cache_dir=str(tmp_path / "cache"))["directional_box"]["id"] == ids
    build(folder, ["c"])
    assert load_dataset(str(folder), split="test", cache_dir=str(tmp_path / "cache"))["id"] == ["c"]
