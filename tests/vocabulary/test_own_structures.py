"""A user's own file of structures: what it adds and overrides, and how a wrong one is refused."""

import os
import textwrap

import pytest
import yaml

from dataset_builder.core.errors import BuildError
from dataset_builder.vocabulary import Structure, confusable, find, structures

ALL = structures()


def write(folder, text):
    path = folder / "mine.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def test_a_users_file_adds_and_overrides(tmp_path):
    path = write(
        tmp_path,
        """
        gonad_left: {clinical: left ovary, lay: left ovary, side: left, region: pelvis, aliases: [Left Ovary]}
        uterus: {clinical: uterus, lay: womb, midline: true, region: pelvis}
        sacrum: {lay: sacral bone}
        spleen: {lay: milt}
        """,
    )
    mine = structures(path)
    assert len(mine) == len(ALL) + 2
    assert mine["gonad_left"] == Structure(
        name="gonad_left",
        clinical="left ovary",
        lay="left ovary",
        same_word=True,
        plural=False,
        side="left",
        check_side=True,
        midline=False,
        midline_reference=False,
        pair=None,
        region="pelvis",
        tissue="soft",
        limb=None,
        aliases=("Left Ovary",),
        part_of=None,
    )
    assert not mine["uterus"].check_side
    assert (ALL["spleen"].same_word, mine["spleen"].same_word) == (True, False)
    assert mine["sacrum"].lay == "sacral bone"
    assert mine["sacrum"].tissue == "bone"
    assert mine["sacrum"].midline_reference
    assert find("left ovary", mine) is mine["gonad_left"]
    assert find("left ovary") is None
    assert not confusable("gonad_left", "uterus", mine)
    assert ALL["sacrum"].lay == structures()["sacrum"].lay == "bone at the base of the spine"


def test_an_edited_file_is_read_again(tmp_path):
    path = write(tmp_path, "uterus: {clinical: uterus, lay: womb, region: pelvis}")
    assert structures(path) is structures(path)
    first = path.stat().st_mtime_ns
    write(tmp_path, "uterus: {clinical: uterus, lay: matrix, region: pelvis}")
    os.utime(path, ns=(first + 10**9, first + 10**9))
    assert structures(path)["uterus"].lay == "matrix"


GOOD = {"clinical": "left ovary", "lay": "left ovary", "side": "left", "region": "pelvis"}


@pytest.mark.parametrize(
    ("change", "field", "found", "remedy"),
    [
        ({"region": "belly"}, "region", "belly", "abdomen"),
        ({"region": None}, "region", None, "clinical, lay, region"),
        ({"side": "both"}, "side", "both", "left, right"),
        ({"tissue": "fat"}, "tissue", "fat", "soft, bone, lung"),
        ({"limb": "arm"}, "limb", "arm", "upper, lower"),
        ({"plural": "no"}, "plural", "no", "true, false"),
        ({"same_word": False}, "same_word", "False", "if clinical and lay are equal"),
        ({"lay": "left egg store", "same_word": True}, "same_word", "True", "if clinical and lay are equal"),
        ({"colour": "red"}, "colour", "red", "clinical, lay, same_word"),
        ({"clinical": "ovary"}, "clinical", "ovary", "side"),
        ({"lay": "the left ovary"}, "lay", "the left ovary", "Leave it out"),
        ({"lay": "left ovary; egg store"}, "lay", "egg store", "letters, digits"),
        ({"lay": "left {a} ovary"}, "lay", "{a}", "letters, digits"),
        ({"lay": "left (egg store) ovary"}, "lay", "(egg store)", "letters, digits"),
        ({"lay": "left ovary ()"}, "lay", "()", "letters, digits"),
        ({"clinical": "left ovary (gonad)"}, "clinical", "(gonad)", "letters, digits"),
        ({"lay": 7}, "lay", "7", "letters, digits"),
        ({"aliases": "ovary_l"}, "aliases", "ovary_l", "[left_kidney"),
        ({"side": None, "check_side": True}, "check_side", "True", "Give 'side'"),
        ({"midline_reference": True}, "midline_reference", "True", "midline: true"),
        ({"pair": ["a"]}, "pair", "a", "canonical name"),
        ({"pair": "gonad_right"}, "pair", "gonad_right", "Add a row"),
        ({"pair": "kidney_right"}, "pair", "kidney_left", "each names the other"),
        ({"part_of": "gonads"}, "part_of", "gonads", "Add a row"),
        ({"part_of": "gonad_left"}, "part_of", "gonad_left", "No structure is part of itself"),
        ({"clinical": "left kidney"}, "clinical", "left kidney", "one of its own"),
        ({"lay": "left collarbone"}, "lay", "left collarbone", "one of its own"),
        ({"aliases": ["Left Kidney"]}, "aliases", "left_kidney", "one of its own"),
        ({"aliases": ["SPLEEN"]}, "aliases", "spleen", "one of its own"),
    ],
)
def test_a_wrong_row_is_refused_with_file_row_field_and_remedy(tmp_path, change, field, found, remedy):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"gonad_left": GOOD | change}), encoding="utf-8")
    with pytest.raises(BuildError) as error:
        structures(path)
    assert error.value.file == str(path)
    assert "'gonad_left'" in str(error.value)
    assert f"'{field}'" in error.value.problem
    assert remedy in error.value.remedy
    if found is not None:
        assert found in str(error.value.value)


def test_a_broken_pair_of_the_packages_own_is_the_users_file(tmp_path):
    path = write(tmp_path, "kidney_left: {pair: null}")
    with pytest.raises(BuildError, match="kidney_right") as error:
        structures(path)
    assert error.value.file == str(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- spleen", "table of rows"),
        ("", "table of rows"),
        ("uterus: womb", "'uterus' is not a table"),
        ("uterus: {clinical: uterus", "not valid YAML"),
        ("left ovary: {clinical: left ovary}", "name starts with a letter"),
        ("7: {clinical: left ovary}", "name starts with a letter"),
        ("uterus: {lay: womb, lay: uterus}", "'lay' is given twice"),
        ("uterus: {lay: womb}\nuterus: {lay: womb}", "'uterus' is given twice"),
        ("uterus: {lay: womb, region: pelvis}", "'clinical': is missing"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(BuildError, match=message) as error:
        structures(path)
    assert error.value.file == str(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BuildError, match="cannot be read") as error:
        structures(tmp_path / "none.yaml")
    assert error.value.file == str(tmp_path / "none.yaml")
