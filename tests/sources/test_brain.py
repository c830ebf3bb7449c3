"""The sample's brain: its labels against FreeSurfer's own names and the untouched files, in the world by nibabel."""

import csv

import nibabel
import numpy as np
import pytest
from nibabel.affines import apply_affine

from dataset_builder.core.errors import AffineMismatchError
from dataset_builder.dataset.licences import licence
from dataset_builder.imaging.label_grid import lay_into, merge_labels
from dataset_builder.imaging.laterality import check_sides, midline
from dataset_builder.sources import open_source
from dataset_builder.sources.brain import IMAGE, LABEL_NAMES, LABELS, SUBJECT, fetch_brain
from dataset_builder.vocabulary import label_map, structures

PART_OF_FREESURFER_NAME = {
    "cerebral_white_matter": "Cerebral-White-Matter",
    "cerebellum": "Cerebellum",
    "thalamus": "Thalamus",
    "caudate_nucleus": "Caudate",
    "putamen": "Putamen",
    "globus_pallidus": "Pallidum",
    "hippocampus": "Hippocampus",
    "amygdala": "Amygdala",
    "nucleus_accumbens": "Accumbens",
    "lateral_ventricle": "Lat",
    "third_ventricle": "3rd-Ventricle",
    "fourth_ventricle": "4th-Ventricle",
    "brainstem": "Brain-Stem",
    "corpus_callosum": "CC_",
}
# FreeSurfer's grouping of the Desikan-Killiany regions into lobes; the cingulate and the insula by themselves.
LOBES = {
    "frontal_cortex": "superiorfrontal rostralmiddlefrontal caudalmiddlefrontal parsopercularis parstriangularis "
    "parsorbitalis lateralorbitofrontal medialorbitofrontal precentral paracentral frontalpole",
    "parietal_cortex": "superiorparietal inferiorparietal supramarginal postcentral precuneus",
    "temporal_cortex": "superiortemporal middletemporal inferiortemporal bankssts fusiform transversetemporal "
    "entorhinal temporalpole parahippocampal",
    "occipital_cortex": "lateraloccipital lingual cuneus pericalcarine",
    "cingulate_cortex": "rostralanteriorcingulate caudalanteriorcingulate posteriorcingulate isthmuscingulate",
    "insular_cortex": "insula",
}


@pytest.fixture(scope="module")
def brain():
    source = open_source("sample")
    case = next(case for case in source.cases() if case.subject == SUBJECT)
    return source.read(case)


@pytest.fixture(scope="module")
def stored():
    """The untouched atlas: values and world positions of all labelled voxels."""
    atlas = nibabel.load(fetch_brain() / LABELS)
    array = np.asarray(atlas.dataobj)
    voxels = np.argwhere(array > 0)
    return array[tuple(voxels.T)], apply_affine(atlas.affine, voxels)


def test_every_value_is_the_structure_that_freesurfer_says(stored):
    with (fetch_brain() / LABEL_NAMES).open(encoding="utf-8") as file:
        freesurfer = {int(row["index"]): row["name"] for row in csv.DictReader(file)}
    known = label_map("freesurfer_aparc_aseg")
    for value, name in known.items():
        side = "left" if name.endswith("_left") else "right" if name.endswith("_right") else None
        stem = name.removesuffix("_left").removesuffix("_right")
        theirs = freesurfer[value]
        if stem in LOBES:
            assert theirs.startswith({"left": "ctx-lh-", "right": "ctx-rh-"}[side]), name
            assert theirs[7:] in LOBES[stem].split(), name
        else:
            assert theirs.startswith(f"{side.title()}-" if side else ""), name
            assert PART_OF_FREESURFER_NAME[stem] in theirs, name
    cortex = [value for value in known if value > 1000]
    assert len(cortex) == 2 * sum(len(regions.split()) for regions in LOBES.values()) == 68
    left_out = {freesurfer[value].split("-", 1)[-1] for value in set(np.unique(stored[0])) - set(known)}
    assert left_out == {
        *("CSF", "VentralDC", "vessel", "choroid-plexus", "hypointensities", "WM-hypointensities", "Chiasm"),
        *("lh-unknown", "rh-unknown"),
    }


def test_every_labelled_voxel_lies_in_the_world_where_the_atlas_has_it(brain, stored):
    """Looked up the other way round: each voxel of the atlas, through both affines, in the volume."""
    values, world = stored
    known = label_map("freesurfer_aparc_aseg")
    at = apply_affine(np.linalg.inv(brain.affine), world)
    assert np.abs(at - at.round()).max() < 1e-6
    found = brain.labels[tuple(at.round().astype(int).T)]
    number = {name: value for value, name in brain.names.items()}
    expected = np.array([number.get(known.get(value), 0) for value in range(values.max() + 1)])[values]
    assert np.array_equal(found, expected)
    assert np.count_nonzero(brain.labels) == np.count_nonzero(expected)


def test_the_image_is_the_template_and_the_labels_lie_on_its_tissues(brain):
    template = nibabel.as_closest_canonical(nibabel.load(fetch_brain() / IMAGE))
    assert np.array_equal(brain.image, np.asarray(template.dataobj))
    assert np.allclose(brain.affine, template.affine)
    assert brain.spacing == (1.0, 1.0, 1.0)
    typical = {name: np.median(brain.image[brain.labels == value]) for value, name in brain.names.items()}
    # T1: fluid dark, grey matter between, white matter bright.
    fluid = [typical[name] for name in typical if "ventricle" in name]
    grey = [typical[name] for name in typical if "cortex" in name or "caudate" in name or "hippocampus" in name]
    white = [typical[name] for name in typical if "white_matter" in name or name == "corpus_callosum"]
    assert len(fluid) + len(grey) + len(white) == 4 + 16 + 3
    assert max(fluid) < 0.7 * min(grey)
    assert max(grey) < 0.95 * min(white)


def test_left_is_left_and_front_is_front(brain):
    world = {}
    for value, name in brain.names.items():
        world[name] = apply_affine(brain.affine, np.argwhere(brain.labels == value)).mean(axis=0)
    sided = [name for name in world if structures()[name].side]
    assert len(sided) == 32
    for name in sided:
        assert (world[name][0] > 4) == (structures()[name].side == "right"), name
        assert (world[name][0] < -4) == (structures()[name].side == "left"), name
    for name in set(world) - set(sided):
        assert structures()[name].midline
        assert abs(world[name][0]) < 2, name
    for side in ("left", "right"):
        assert world[f"frontal_cortex_{side}"][1] > world[f"occipital_cortex_{side}"][1] + 80
        assert world[f"parietal_cortex_{side}"][2] > world[f"temporal_cortex_{side}"][2] + 40
        putamen, caudate = (abs(world[f"{name}_{side}"][0]) for name in ("putamen", "caudate_nucleus"))
        assert putamen > caudate + 8
    assert world["brainstem"][1] > world["cerebellum_left"][1]
    assert world["thalamus_left"][2] > world["brainstem"][2]
    check_sides(brain)
    assert abs(midline(brain) + brain.affine[0, 3]) < 1  # index * 1 mm, from the array's left end


def test_what_the_case_says_of_itself(brain):
    assert (brain.source, brain.modality, brain.side) == ("sample", "mri", None)
    assert sorted(brain.names) == list(range(1, 37))
    terms = licence(brain.licence)
    assert terms.share
    assert terms.rank < licence("CC-BY-NC-4.0").rank
    origin = (fetch_brain() / "README.md").read_text(encoding="utf-8")
    template = origin.split("## ICBM 2009c")[1].split("# Atlas Information")[0]
    assert "Permission to use, copy, modify, and\ndistribute" in template
    assert "FreeSurfer" in origin.split("## Desikan & Killiany")[1].split("## Harvard")[0]


# Laying labels into a grid


def boxed(affine: np.ndarray, shape=(2, 3, 4)) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(1, 1 + np.prod(shape), dtype=np.uint8).reshape(shape), affine


def test_each_voxel_goes_where_the_affines_say():
    values, affine = boxed(np.array([[0, 0, 2.0, -6], [-2, 0, 0, 9], [0, 2, 0, 1], [0, 0, 0, 1]]))
    grid = np.array([[-2.0, 0, 0, 6], [0, 2, 0, 1], [0, 0, 2, -3], [0, 0, 0, 1]])
    filled = lay_into(values, affine, grid, (8, 6, 7))
    for index in np.ndindex(values.shape):
        target = np.linalg.solve(grid, affine @ [*index, 1])[:3]
        assert filled[tuple(target.astype(int))] == values[index]
    assert np.count_nonzero(filled) == values.size


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((0, 3, 0.4), "0.200 voxels off"),
        ((0, 0, 2.05), "voxels off"),
        ((1, 0, 0.06), "voxels off"),
        ((0, 3, -2.0), "labels outside the image"),
        ((2, 3, 20.0), "labels outside the image"),
    ],
)
def test_labels_off_the_grid_are_refused(change, message):
    values, affine = boxed(np.diag([2.0, 2, 2, 1]))
    row, column, value = change
    affine[row, column] = value
    with pytest.raises(AffineMismatchError) as caught:
        lay_into(values, affine, np.diag([2.0, 2, 2, 1]), (6, 6, 6))
    assert message in str(caught.value.value)


def test_empty_margins_may_lie_outside():
    values = np.zeros((4, 4, 4), np.uint8)
    values[2, 1, 1] = 5
    affine = np.eye(4)
    affine[:3, 3] = (-2, 0, 1)
    filled = lay_into(values, affine, np.eye(4), (2, 3, 3))
    assert filled[0, 1, 2] == 5
    assert np.count_nonzero(filled) == 1


def test_values_of_one_structure_become_one():
    merged, names = merge_labels(np.array([0, 2, 5, 7, 9, 5]), {7: "b", 2: "a", 5: "b", 1000: "c"})
    assert names == {1: "b", 2: "a", 3: "c"}
    assert merged.tolist() == [0, 2, 1, 1, 0, 1]
