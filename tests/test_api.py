"""``from dataset_builder import build`` is enough for a notebook."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import dataset_builder


@pytest.mark.parametrize("name", dataset_builder.__all__)
def test_every_name_can_be_had(name):
    assert getattr(dataset_builder, name).__name__ == name


def test_other_names_cannot():
    with pytest.raises(AttributeError, match="'nothing'"):
        dataset_builder.nothing  # noqa: B018


def test_heavy_packages_wait():
    code = "import sys, dataset_builder; print([m for m in ('torch', 'datasets', 'nibabel') if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


SETTINGS = dataset_builder.Settings(
    inputs=("slice",), prompts=("box",), questions_per_volume=4, stacks_per_volume=0, answer_types=("choice",)
)


class OfAnotherLibrary(os.PathLike):
    """Stands for a path, as those of other libraries do."""

    def __init__(self, path):
        self._path = str(path)

    def __fspath__(self):
        return self._path


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    from dataset_builder import build, open_source

    folder = tmp_path_factory.mktemp("api")
    store = OfAnotherLibrary(folder / "store")
    return build([open_source("phantom:1")], str(folder / "mis-ground"), SETTINGS, store=store)


def test_a_build_as_the_docstring_shows_it(built):
    from dataset_builder import check_dataset

    assert built.out.name == "mis-ground"
    assert check_dataset(built.out).ok


@pytest.mark.parametrize("given", [str, OfAnotherLibrary])
def test_every_path_may_be_text_or_stand_for_one(given, built, tmp_path):
    from dataset_builder import MISGround, MISGroundError, build, check_dataset, rebuild, write_gallery, write_recipe

    store, recipe = built.out.with_name("store"), tmp_path / "recipe"
    assert check_dataset(given(built.out), reproduce=False).rows == built.total_rows
    assert write_gallery(given(built.out), given(tmp_path / "page.html")) > 0
    assert write_recipe(given(built.out), given(recipe)) == recipe
    with pytest.raises(MISGroundError, match=f"already exists.*{recipe}"):
        rebuild(given(recipe), ["phantom:1"], given(recipe))
    with pytest.raises(MISGroundError, match=f"lies in the slice store.*{store}"):
        build([], given(store / "mis-ground"), SETTINGS, store=given(store))
    assert MISGround("ct_axial", store=given(store), cache_dir=str(tmp_path / "cache")).config.store == str(store)


@pytest.mark.parametrize("given", [str, OfAnotherLibrary])
def test_a_path_that_is_not_there_is_named_however_it_is_given(given, tmp_path):
    from dataset_builder import build, check_dataset, open_source, push, rebuild, write_gallery, write_recipe

    source, nothing = open_source("phantom:1"), tmp_path / "nothing"
    for refused in (
        lambda: build([source], given(tmp_path / "out"), SETTINGS, vocabulary=given(nothing)),
        lambda: build([source], given(tmp_path / "out"), SETTINGS, split="train", held_out=[given(nothing)]),
        lambda: build([source], given(tmp_path / "out"), SETTINGS, split="train", held_out=given(nothing)),
        lambda: open_source(given(nothing) if given is OfAnotherLibrary else f"auto:{nothing}"),
        lambda: check_dataset(given(nothing)),
        lambda: write_gallery(given(nothing), given(tmp_path / "page.html")),
        lambda: write_recipe(given(nothing), given(tmp_path / "recipe")),
        lambda: rebuild(given(nothing), ["phantom:1"], given(tmp_path / "again")),
        lambda: push(given(nothing), "me/mis-ground"),
    ):
        with pytest.raises(dataset_builder.MISGroundError) as told:
            refused()
        assert str(nothing) in str(told.value)
    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith(".")) == []


def test_a_case_of_a_source_of_ones_own_takes_text_too():
    from dataset_builder import Case

    assert Case("mine", "1", "ct", "unknown", ("a.nii.gz", Path("b"))).paths == (Path("a.nii.gz"), Path("b"))
