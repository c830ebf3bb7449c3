from dataset_builder.sources.unknown import how_to_add, vocabulary_rows
from dataset_builder.vocabulary import REGIONS, find, structures

NAMES = [
    *("plica", "Plica Left", "Knorpel (außen)", "5th ventricle", "left_right_thing", "Hoffa's fat pad", "µ"),
    *("半月板", "肌腱", "liver!", "x", "no", "_", "12", 'a "quoted" name', "Left", "the mass"),
]


def test_the_rows_make_every_label_known(tmp_path):
    remedy = how_to_add(NAMES, structures())
    rows = [line for line in remedy.splitlines() if "{" in line]
    assert len(rows) == len(NAMES)
    assert all(region in remedy for region in REGIONS)
    own = tmp_path / "own.yaml"
    own.write_text("\n".join(rows).replace("REGION", "knee") + "\n", encoding="utf-8")
    words = structures(own)
    found = [find(name, words) for name in NAMES]
    assert None not in found
    assert len({structure.name for structure in found}) == len(NAMES)
    assert found[NAMES.index("Plica Left")].side == "left"
    assert words["liver"] == structures()["liver"]


def test_a_row_states_a_side_only_if_the_name_states_one():
    def row(label: str) -> str:
        (only,) = vocabulary_rows([label], structures())
        return only

    assert "side: right" in row("Plica_right")
    assert "side:" not in row("upright")
    assert "side:" not in row("left or right plica")


def test_two_spellings_of_one_name_need_one_row():
    assert len(vocabulary_rows(["Plica left", "plica_left", "PLICA-LEFT"], structures())) == 1
