"""The factors against the table of the design: names that published data sets carry do not change."""

from itertools import product

from dataset_builder.core import factors

TABLE = {
    "MODALITIES": "ct mri",
    "PLANES": "axial coronal sagittal",
    "TERMINOLOGIES": "anatomical directional relational",
    "PROMPTS": "none label point box mask text_point text_box",
    "REGISTERS": "clinical lay",
    "CONVENTIONS": "radiological ras",
    "FRAMES": "patient image",
    "INPUTS": "slice stack blank",
}


def test_the_values_are_those_of_the_design():
    found = {name: " ".join(getattr(factors, name)) for name in TABLE}
    assert found == TABLE


def test_a_prompt_is_drawn_or_written_or_neither():
    drawn, written = set(factors.DRAWN_PROMPTS), set(factors.TEXT_PROMPTS)
    assert drawn == {"label", "point", "box", "mask"}
    assert written == {"text_point", "text_box"}
    assert set(factors.PROMPTS) - drawn - written == {"none"}


def test_configs_are_named_by_modality_and_plane():
    names = [factors.config_name(*pair) for pair in product(factors.MODALITIES, factors.PLANES)]
    assert names == ["ct_axial", "ct_coronal", "ct_sagittal", "mri_axial", "mri_coronal", "mri_sagittal"]


def test_splits_are_named_by_terminology_and_prompt():
    names = [factors.split_name(*pair) for pair in product(factors.TERMINOLOGIES, factors.PROMPTS)]
    assert len(set(names)) == 21
    assert names[0] == "anatomical_none"
    assert "directional_text_box" in names
    assert all(name.isidentifier() for name in names)  # `datasets` wants split names to be plain words
