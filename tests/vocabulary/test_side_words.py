from itertools import product

import numpy as np
import pytest

from dataset_builder.core.errors import SwappedSidesError
from dataset_builder.imaging.laterality import check_sides
from dataset_builder.imaging.volume import volume_from_arrays
from dataset_builder.sources.unknown import vocabulary_rows
from dataset_builder.vocabulary import find, read_side, structures

LEFT = [
    *("Kidney_L", "Lt kidney", "LKidney", "KidneyL", "kidneyLeft", "leftkidney", "Kidney (left)", "KIDNEY-LT"),
    *("Kidney.L", "lh-kidney", "Niere links", "linke Niere", "Niere li.", "rein gauche", "riñón izquierdo", "rene sx"),
    *("njure vänster", "левая почка", "左肾", "왼쪽 신장", "Rib L5", "ctx-lh-precentral"),
]
NO_SIDE = [
    *("vertebrae_L3", "vertebra L 3", "L5", "bilateral", "Kidneys L+R", "left or right kidney", "brightness", "cleft"),
    *("Kopf der Tibia", "BrainStem", "IVC", "Liver", "MRI", "Re-resection"),
]


@pytest.mark.parametrize("name", LEFT)
def test_a_side_is_read_in_whatever_spelling(name):
    assert read_side(name)[1] == "left"


@pytest.mark.parametrize(
    "name", ["Kidney_R", "Rt kidney", "RK kidney R", "Niere rechts", "Niere re.", "REIN DROIT", "riñon der.", "右肾"]
)
def test_right_is_read_too(name):
    assert read_side(name)[1] == "right"


@pytest.mark.parametrize("name", NO_SIDE)
def test_other_letters_and_words_are_no_sides(name):
    assert read_side(name)[1] is None


def test_the_vocabulary_says_the_side_that_its_names_say():
    short = {"lk", "rk", "lag", "rag", "lul", "lll", "rul", "rml", "rll"}
    for row in structures().values():
        for spelling in {row.name, *row.aliases} - short:
            assert read_side(spelling)[1] == row.side, spelling


@pytest.mark.parametrize(
    ("name", "meant"),
    [("Kidney_L", "kidney_left"), ("Lt kidney", "kidney_left"), ("RK", "kidney_right"), ("Lung_R", "lung_right")],
)
def test_a_known_structure_is_found_however_its_side_is_spelled(name, meant):
    found = find(name)
    assert found is not None
    assert found.name == meant


def test_a_name_that_says_a_side_is_proposed_with_it_and_with_its_twin():
    rows = vocabulary_rows(["Plica_L", "Plica_R", "Plica"], structures())
    assert rows[0] == (
        "plica_left: {clinical: plica left, lay: plica left, side: left, pair: plica_right, region: REGION, "
        'aliases: ["Plica_L"]}'
    )
    assert "side: right, pair: plica_left" in rows[1]
    assert "side" not in rows[2]


PAIRS = [
    *(("Plica_L", "Plica_R"), ("Lt plica", "Rt plica"), ("plica links", "plica rechts"), ("LPlica", "RPlica")),
    *(("plica gauche", "plica droite"), ("plica izquierda", "plica derecha"), ("左plica", "右plica")),
    *(
        ("Niere links", "Niere rechts"),
        ("linke Niere", "rechte Niere"),
        ("Niere li.", "Niere re."),
        ("li Niere", "re Niere"),
    ),
    *(
        ("rein gauche", "rein droit"),
        ("Rein_G", "Rein_D"),
        ("riñón izquierdo", "riñón derecho"),
        ("riñon I", "riñon D"),
    ),
    *(("rene sinistro", "rene destro"), ("rene sx", "rene dx"), ("rim esquerdo", "rim direito"), ("rim E", "rim D")),
    *(("linkernier", "rechternier"), ("linkerlong", "rechterlong"), ("linkerplica", "rechterplica")),
    *(("Kidney_L", "Kidney_R"), ("LK", "RK"), ("Lung (left)", "Lung (right)"), ("kidneyL", "kidneyR")),
]


@pytest.mark.parametrize(("pair", "mirrored"), [*product(PAIRS, (False, True))])
def test_a_mirrored_scan_is_refused_in_every_spelling(pair, mirrored, tmp_path):
    words = structures()
    unknown = [name for name in pair if find(name, words) is None]
    if unknown:  # the proposed rows, followed to the letter
        own = tmp_path / "own.yaml"
        own.write_text("\n".join(vocabulary_rows(unknown, words)).replace("REGION", "knee"), encoding="utf-8")
        words = structures(own)
    found = [find(name, words) for name in pair]
    assert [row.side for row in found if row] == ["left", "right"]
    labels = np.zeros((30, 8, 8), np.uint8)
    labels[2:8, 2:6, 2:6], labels[22:28, 2:6, 2:6] = 1, 2  # the first index grows to the right
    names = {1: found[0].name, 2: found[1].name} if not mirrored else {2: found[0].name, 1: found[1].name}
    volume = volume_from_arrays(
        labels.astype(np.int16),
        labels,
        names,
        np.diag([3.0, 3, 3, 1]),
        source="",
        subject="",
        modality="ct",
        licence="",
    )
    if mirrored:
        with pytest.raises(SwappedSidesError):
            check_sides(volume, words)
    else:
        check_sides(volume, words)


def test_a_users_row_has_the_side_that_its_name_says(tmp_path):
    own = tmp_path / "own.yaml"
    row = "{clinical: plica, lay: plica, region: knee}"
    own.write_text(f"plica_l: {row}\nplica_r: {row.replace('plica', 'other plica')}\n")
    words = structures(own)
    assert (words["plica_l"].side, words["plica_l"].pair) == ("left", "plica_r")
    assert (words["plica_r"].side, words["plica_r"].pair) == ("right", "plica_l")
    own.write_text("plica_l: {clinical: plica l, lay: plica l, region: knee, side: null}\n")
    assert structures(own)["plica_l"].side is None
