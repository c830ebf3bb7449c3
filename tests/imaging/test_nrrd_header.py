import numpy as np
import pytest

from dataset_builder.core.errors import CaseError, UnreadableError
from dataset_builder.imaging.scan_files import read_layers, read_scan

VALUES = np.arange(60, dtype=np.int16).reshape(5, 4, 3)
VOXELS = VALUES.tobytes("F")
AFFINE = np.diag([-2.0, -2, 3, 1])
LINES = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "5 4 3",
    "space directions": "(2,0,0) (0,2,0) (0,0,3)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(0,0,0)",
}


def written(folder, *more, ending=".nrrd", voxels=VOXELS, magic="NRRD0004", **changed):
    """A file whose lines are changed (``None`` leaves one out), and lines added."""
    lines = {**LINES, **{name.replace("_", " "): value for name, value in changed.items()}}
    text = "\n".join([magic, *(f"{name}: {value}" for name, value in lines.items() if value is not None), *more])
    path = folder / f"scan{ending}"
    path.write_bytes(text.encode("utf-8", "surrogateescape") + b"\n\n" + voxels)
    return path


LONG = "a" * 3000


@pytest.mark.parametrize(
    "more",
    [
        *((f"~: {LONG}",), (LONG,), (f"data file: {LONG}",), (f"old min: {LONG}",), (f"centers: {LONG}",)),
        *((f"measurement frame: ({LONG})",), (f'units: "{LONG}" "mm" "mm"',), (f"foo: {LONG}:=x",)),
        *(("data file: x%d%s%n.raw 1 3 1",), ("data file: LIST",), ("datafile: %03d.raw 1 9 0",)),
        ("data file: no.raw",),
        *(("sizes: 5 4 3",), ("centers: cell cell cell", "centerings: node node node"), ("foo: bar",), ("content:x",)),
        *(("byte skip: x",), ("lineskip: 1.5",), ("number: nan",), ("min: 1 2",), ("thicknesses: 1 x 3",)),
    ],
)  # fmt: skip
def test_lines_that_its_reader_does_not_survive_or_understand_are_refused(tmp_path, more):
    with pytest.raises(UnreadableError):
        read_scan(written(tmp_path, *more))


@pytest.mark.parametrize("name", [*LINES])
@pytest.mark.parametrize("value", [LONG, "9" * 3000, "(" * 500, "", "nan", "-1", "%n%s", None])
def test_values_without_the_form_of_their_field_are_refused(tmp_path, name, value):
    if name in ("kinds", "endian") and value is None:
        return  # these may be missing
    with pytest.raises(CaseError):
        read_scan(written(tmp_path, **{name: value}))


@pytest.mark.parametrize(
    "changed",
    [
        {"space directions": "none (0,2,0) (0,0,3)"},  # filled in by (1,0,0)
        {"space directions": "(2,0,0) (0,2,0)"},
        {"space directions": "(2,0,0) (0,2,0) (0,0,3) (1,0,0)"},
        {"space directions": "(2,0) (0,2) (0,3)"},
        {"space directions": "(2,0,0) (0,nan,0) (0,0,3)"},
        {"space directions": "(2,0,0) (2,0,0) (0,0,3)"},
        {"space directions": "(0,0,0) (0,2,0) (0,0,3)"},
        {"space directions": "(1e300,0,0) (0,2,0) (0,0,3)"},
        {"space origin": "(0,0)"},
        {"space origin": "none"},
        {"space": "scanner-xyz"},
        {"space": None, "space dimension": "3"},
        {"kinds": "domain domain list"},
        {"kinds": "domain domain"},
        {"space units": '"m" "m" "m"'},
        {"space units": '"mm" "mm" "cm"'},
        {"sizes": "5 4 2"},
        {"sizes": "5 4 4"},
        {"sizes": "0 4 3"},
        {"type": "int"},
        {"dimension": "4"},
        {"dimension": "17"},
    ],
)
def test_a_header_that_contradicts_itself_or_lacks_a_direction_is_refused(tmp_path, changed):
    with pytest.raises(CaseError):
        read_scan(written(tmp_path, **changed))


@pytest.mark.parametrize(
    "more",
    [
        *((f"Segment0_Tags:={'a' * 100_000}",), (f"{LONG}:=x",), (f"# {LONG}",), (f"content: {LONG}",), ("foo:=a: b",)),
        *(("thicknesses: NaN NaN 3",), ("centerings: cell cell cell",), ('space units: "mm" "mm" "mm"',)),
        *(("space:=right-anterior-superior",), ("measurement frame: (1,0,0) (0,1,0) (0,0,1)",), ("old min: 5",)),
        *(('labels: "x" "y" "z"',), ("number: 60",), ("sample units: HU",), ("key:=Größe",), ("content: Größe: x:=y",)),
    ],
)  # fmt: skip
def test_a_sound_header_is_read_whatever_else_it_says(tmp_path, more):
    for file in (written(tmp_path, *more), written(tmp_path, *more, magic="NRRD0005")):
        scan = read_scan(file)
        assert np.array_equal(scan.values, VALUES)
        assert np.allclose(scan.affine, AFFINE)


def test_voxels_beside_the_header_or_behind_others_are_read(tmp_path):
    (tmp_path / "voxels ä.raw").write_bytes(VALUES.tobytes("F"))
    file = written(tmp_path, "data file: voxels ä.raw", ending=".nhdr", voxels=b"")
    assert np.array_equal(read_scan(file).values, VALUES)
    file = written(tmp_path, "byte skip: 2", voxels=b"zz" + VALUES.tobytes("F"))
    assert np.array_equal(read_scan(file).values, VALUES)
    with pytest.raises(UnreadableError, match="more or fewer"):
        read_scan(written(tmp_path, voxels=VALUES.tobytes("F") + b"xx"))


def test_layers_have_an_axis_without_a_direction(tmp_path):
    both = np.stack([VALUES, VALUES[::-1]])
    changed = {
        "dimension": "4",
        "sizes": "2 5 4 3",
        "kinds": "list domain domain domain",
        "space directions": "none (2,0,0) (0,2,0) (0,0,3)",
    }
    layers, affine, _ = read_layers(written(tmp_path, voxels=both.tobytes("F"), **changed))
    assert np.array_equal(layers, both)
    assert np.allclose(affine, AFFINE)
    changed["kinds"] = "domain domain domain list"
    with pytest.raises(CaseError):
        read_layers(written(tmp_path, voxels=both.tobytes("F"), **changed))
