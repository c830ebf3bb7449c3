import dataclasses
import hashlib
import json

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dataset_builder.building.builder import build
from dataset_builder.building.recipe import rebuild, settings_of, write_recipe
from dataset_builder.core.errors import BuildError, DatasetNotFoundError, HubError
from dataset_builder.core.settings import Settings
from dataset_builder.dataset.manifest import read_record
from dataset_builder.hub.push import push
from dataset_builder.sources import open_source
from tests.helpers.folders import contents
from tests.helpers.hub_checks import check_whole
from tests.helpers.loopback_hub import LoopbackHub, client
from tests.helpers.small_ground import CELLS, write_ground

SMALL = Settings(
    seed=5,
    planes=("axial", "coronal"),
    prompts=("none", "box"),
    questions_per_volume=12,
    locate_questions_per_volume=6,
    measure_questions_per_volume=4,
    image_size=96,
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A data set of one phantom, and its recipe."""
    folder = tmp_path_factory.mktemp("recipe")
    build([open_source("phantom:1")], folder / "ground", SMALL)
    return folder / "ground", write_recipe(folder / "ground", folder / "recipe")


def files(folder):
    return {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*.parquet"))}


def test_a_recipe_has_all_but_the_images(built):
    ground, recipe = built
    assert {"data/locate/test.parquet", "data/measure/test.parquet"} <= set(files(recipe))
    assert set(files(recipe)) == {name for name in files(ground) if name.startswith("data/")}
    for name, path in files(recipe).items():
        rows, bare = pq.read_table(files(ground)[name]), pq.read_table(path)
        assert bare.column_names == ["image_sha256" if n == "images" else n for n in rows.column_names]
        assert bare.drop_columns(["image_sha256"]) == rows.drop_columns(["images"]).cast(
            bare.drop_columns(["image_sha256"]).schema
        )
        for hashes, images in zip(bare["image_sha256"].to_pylist(), rows["images"].to_pylist(), strict=True):
            assert hashes == [hashlib.sha256(image["bytes"]).hexdigest() for image in images]
    everything = b"".join(path.read_bytes() for path in recipe.rglob("*") if path.is_file())
    assert b"PNG" not in everything
    assert b"IHDR" not in everything


def test_load_dataset_reads_a_recipe_and_its_card_says_what_it_is(built, tmp_path):
    _, recipe = built
    rows = datasets.load_dataset(str(recipe), split="test", cache_dir=str(tmp_path))
    assert len(rows) == sum(note.rows for note in read_record(recipe).questions.values())
    assert rows.features["image_sha256"] == datasets.List(datasets.Value("string"))
    text = (recipe / "README.md").read_text()
    assert "mis-ground rebuild" in text
    assert "examples/" not in text


def test_what_is_rebuilt_is_the_data_set_again(built, tmp_path):
    ground, recipe = built
    summary = rebuild(str(recipe), ["phantom:3"], tmp_path / "again")  # two scans more than the recipe needs
    assert summary.out == tmp_path / "again"
    assert contents(tmp_path / "again") == contents(ground)
    assert settings_of(read_record(recipe).builds[0]) == SMALL


def test_builds_before_these_settings_asked_for_what_there_was(built):
    (note, *_) = read_record(built[1]).builds
    first = {"answer_types": ("choice",), "statements": ("edges",), "option_forms": ("listed",)}
    old = dataclasses.replace(note, settings={name: of for name, of in note.settings.items() if name not in first})
    assert settings_of(old) == dataclasses.replace(SMALL, **first)


def test_a_recipe_comes_back_from_the_hub(built, tmp_path, monkeypatch):
    ground, recipe = built
    with LoopbackHub() as hub:
        done = push(recipe, "me/recipe", private=False, api=client(hub, monkeypatch))
        check_whole(hub, "me/recipe")
        assert not any(path.endswith(".png") for path in hub.tree("me/recipe"))
        rebuild("me/recipe", ["phantom:1"], tmp_path / "again", revision=done.tag)
        assert contents(tmp_path / "again") == contents(ground)
        with pytest.raises(HubError, match="no me/nothing"):
            rebuild("me/nothing", ["phantom:1"], tmp_path / "other")
        with pytest.raises(HubError, match=r"other columns.*image"):
            push(
                write_ground(tmp_path / "pictures", CELLS[2:3], slices=False), "me/recipe", api=client(hub, monkeypatch)
            )


def test_a_recipe_of_what_may_not_be_passed_on_can_be_pushed(tmp_path, monkeypatch):
    secret = write_ground(tmp_path / "secret", CELLS[:1], licence="hospital only")
    with LoopbackHub() as hub:
        push(write_recipe(secret, tmp_path / "recipe"), "me/recipe", api=client(hub, monkeypatch))
        check_whole(hub, "me/recipe")


@pytest.mark.parametrize("column", ["image_sha256", "answer", "id"])
def test_whatever_differs_from_the_recipe_is_found(built, tmp_path, column):
    _, recipe = built
    changed = tmp_path / "changed"
    for name, path in files(recipe).items():
        target = changed / name
        target.parent.mkdir(parents=True, exist_ok=True)
        table = pq.read_table(path)
        if name == next(iter(files(recipe))):
            values = table[column].to_pylist()
            values[0] = ["0" * 64] if column == "image_sha256" else "something else"
            place = table.column_names.index(column)
            table = table.set_column(
                place, table.schema.field(column), pa.array(values, table.schema.field(column).type)
            )
        pq.write_table(table, target)
    (changed / "build.json").write_bytes((recipe / "build.json").read_bytes())
    reported = "other questions" if column == "id" else f"{column} of 1 row"
    with pytest.raises(BuildError, match=rf"differs from the recipe.*{reported}"):
        rebuild(str(changed), ["phantom:1"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert (tmp_path / "out-different" / "README.md").exists()


def test_missing_scans_are_named_before_any_work(built, tmp_path):
    _, recipe = built
    folder = tmp_path / "scans"
    (folder / "s0001" / "segmentations").mkdir(parents=True)
    with pytest.raises(BuildError, match=r"needs 1 scans of the source 'phantom', and 1 are not here.*torso_ct_0000"):
        rebuild(str(recipe), [f"totalsegmentator:{folder}"], tmp_path / "out")


def test_what_is_no_recipe_is_told(built, tmp_path):
    ground, recipe = built
    with pytest.raises(BuildError, match="has its images"):
        rebuild(str(ground), ["phantom:1"], tmp_path / "out")
    with pytest.raises(BuildError, match="already exists"):
        rebuild(str(recipe), ["phantom:1"], tmp_path)
    with pytest.raises(DatasetNotFoundError, match="folder does not exist"):
        rebuild("/not/there", ["phantom:1"], tmp_path / "out")
    written = json.loads((recipe / "build.json").read_text())
    note = dataclasses.replace(read_record(recipe).builds[0], settings=written["builds"][0]["settings"] | {"magic": 1})
    with pytest.raises(BuildError, match=r"does not know.*magic"):
        settings_of(note)
