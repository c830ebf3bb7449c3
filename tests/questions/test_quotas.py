import dataclasses
from collections import Counter

import pytest
from datasets import load_dataset
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from dataset_builder.building import builder
from dataset_builder.building.builder import build
from dataset_builder.building.datasets_builder import MISGround
from dataset_builder.cli import main as cli
from dataset_builder.core.errors import BuildError
from dataset_builder.core.presets import PRESETS, PUBLISHED_QUESTIONS, PUBLISHED_VOLUMES, with_preset
from dataset_builder.core.settings import QUOTAS, Settings
from dataset_builder.questions.quotas import settings_of_volumes
from dataset_builder.sources import open_source
from tests.benchmarks import paper_size

PAPER = Settings(**PRESETS["paper"])


def volumes(ct: int, mri: int) -> list[tuple[str, str]]:
    return [*((f"c/{n}", "ct") for n in range(ct)), *((f"m/{n}", "mri") for n in range(mri))]


def asked(made: list[Settings | None], setting: str, inputs: set[str]) -> list[int]:
    return [getattr(one, setting) if one and inputs & set(one.inputs) else 0 for one in made]


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.floats(0.05, 0.95), st.integers(0, 3))
def test_the_proportion_is_kept_and_the_rarer_kind_is_asked_in_full(ct, mri, most, share, seed):
    quotas = dict.fromkeys(QUOTAS, 12) | {"questions_per_volume": most}
    settings = Settings(**quotas, ct_share=share, seed=seed)
    made = settings_of_volumes(volumes(ct, mri), settings)
    quota = asked(made, "questions_per_volume", {"slice"})
    of_ct, of_mri = sum(quota[:ct]), sum(quota[ct:])
    # By hand: with all CT asked, so many MR questions are wanted; if they are not there, the other way round.
    wanted_mri = most * ct * (1 - share) / share
    if wanted_mri <= most * mri:
        assert of_ct == most * ct
        assert abs(of_mri - wanted_mri) <= 1 + 1e-6  # whole pairs
        limited = quota[ct:]
    else:
        assert of_mri == most * mri
        assert abs(of_ct - most * mri * share / (1 - share)) <= 1 + 1e-6
        limited = quota[:ct]
    assert max(limited) - min(limited) <= 2
    assert max(quota) <= most
    for one in filter(None, made):
        assert set(one.inputs) <= set(settings.inputs)
        assert set(one.answer_types) <= set(settings.answer_types)
        restored = dataclasses.replace(one, inputs=settings.inputs, answer_types=settings.answer_types, **quotas)
        assert restored == settings


def test_the_published_volumes_are_asked_the_published_number():
    ct = round(0.84 * PUBLISHED_VOLUMES)
    made = settings_of_volumes(volumes(ct, PUBLISHED_VOLUMES - ct), PAPER)
    quota = asked(made, "questions_per_volume", {"slice"})
    assert abs(sum(quota) / PUBLISHED_QUESTIONS - 1) < 0.02
    assert set(quota[:ct]) == {29}
    assert {one.slices_per_volume for one in made} == {2}
    assert abs(sum(quota[:ct]) / sum(quota) - 0.84) < 0.005


def test_who_gets_a_pair_more_does_not_turn_on_the_order_and_volumes_without_questions_may_be_left_out():
    settings = dataclasses.replace(PAPER, seed=5)
    everything = volumes(2, 40)
    made = dict(zip(everything, settings_of_volumes(everything, settings), strict=True))
    turned = everything[::-1]
    assert made == dict(zip(turned, settings_of_volumes(turned, settings), strict=True))
    kept = [volume for volume in everything if made[volume] is not None]
    assert 2 < len(kept) < len(everything)
    assert [made[volume] for volume in kept] == settings_of_volumes(kept, settings)
    other = settings_of_volumes(everything, dataclasses.replace(PAPER, seed=6))
    assert [one is None for one in other] != [made[volume] is None for volume in everything]


@pytest.mark.parametrize("alone", [volumes(3, 0), volumes(0, 3)])
def test_one_modality_alone_is_asked_in_full(alone):
    assert settings_of_volumes(alone, PAPER) == [PAPER] * 3


def test_without_a_share_every_volume_is_asked_alike():
    assert settings_of_volumes(volumes(1, 5), Settings()) == [Settings()] * 6


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"ct_share": 0.0}, "between 0 and 1"),
        ({"ct_share": 1.0}, "between 0 and 1"),
        ({"ct_share": float("nan")}, "between 0 and 1"),
        ({"ct_share": 0.5, "questions_per_volume": None}, "combined with 'all'"),
        ({"ct_share": 0.5, "stack_questions_per_volume": None}, "combined with 'all'"),
    ],
)
def test_shares_that_cannot_be_kept_are_refused(setting, message):
    with pytest.raises(BuildError, match=message):
        Settings(**setting)


# Presets


def test_what_was_given_counts_before_the_preset_and_the_preset_before_the_defaults():
    options = {"seed": 3, "slices_per_volume": 5, "questions_per_volume": 30, "ct_share": None, "views": ("mirrored",)}
    assert with_preset(None, options, {"seed"}) == options
    assert with_preset("paper", options, {"seed", "slices_per_volume", "views"}) == {
        "seed": 3,
        "slices_per_volume": 5,
        "questions_per_volume": 29,
        "ct_share": 0.84,
        "views": ("mirrored",),
        "answer_types": ("choice",),
        "statements": ("edges",),
        "option_forms": ("listed",),
    }


def test_an_unknown_preset_is_told_the_known_ones():
    with pytest.raises(BuildError, match="preset does not exist") as caught:
        with_preset("article", {}, ())
    assert "paper" in caught.value.remedy


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ([], {}),
        (["--preset", "paper"], dict(PRESETS["paper"])),
        (
            ["--preset", "paper", "--questions-per-volume", "30", "--views", "plain,mirrored"],
            {**PRESETS["paper"], "questions_per_volume": 30, "views": ("plain", "mirrored")},
        ),
        (["--preset", "paper", "--ct-share", "0.5", "--seed", "0"], {**PRESETS["paper"], "ct_share": 0.5}),
        (["--ct-share", "0.25"], {"ct_share": 0.25}),
    ],
)
def test_the_command_line_overrides_a_preset(options, changes, monkeypatch):
    """Also with a value that is the default one."""
    seen = []

    def stop(sources, out, settings, **_):
        seen.append(settings)
        raise BuildError("enough")

    monkeypatch.setattr(builder, "build", stop)
    result = CliRunner().invoke(cli.app, ["build", "--source", "phantom:1", *options])
    assert isinstance(result.exception, BuildError)
    assert seen == [dataclasses.replace(Settings(), **changes)]


# Builds


def test_a_build_keeps_the_share_and_so_does_the_builder(tmp_path):
    settings = dataclasses.replace(
        PAPER, inputs=("slice",), questions_per_volume=20, ct_share=0.7, prompts=("none", "box"), image_size=64
    )
    summary = build([open_source("phantom:4")], tmp_path / "made", settings, store=tmp_path / "store")
    data = load_dataset(str(tmp_path / "made"), split="test", cache_dir=str(tmp_path / "cache"))
    rows = data.remove_columns("images").to_list()
    # One CT, so 20 * 3 / 7 = 8.6 about MR, in pairs: 8, over three volumes.
    assert Counter(row["modality"] for row in rows) == {"ct": 20, "mri": 8}
    assert sorted(Counter(row["subject"] for row in rows if row["modality"] == "mri").values()) == [2, 2, 4]
    assert summary.total_rows == 28
    made = MISGround("all", store=tmp_path / "store", settings=settings, cache_dir=str(tmp_path / "builder"))
    made.download_and_prepare()
    assert sorted(made.as_dataset(split="test")["id"]) == sorted(row["id"] for row in rows)


def test_the_simulation_counts_what_a_build_makes(tmp_path):
    settings = dataclasses.replace(PAPER, stack_size=4, image_size=64)
    summary = build([open_source("phantom:2")], tmp_path / "made", settings)
    names = [case.subject for case in open_source("phantom:2").cases()]
    own = settings_of_volumes([(f"phantom/{names[0]}", "ct"), (f"phantom/{names[1]}", "mri")], settings)
    size = paper_size.Size()
    for number, (name, of_volume) in enumerate(zip(names, own, strict=True)):
        size.add(paper_size.measure(number, [(name, of_volume)]))
    assert size.rows == summary.rows
    assert size.slices == 4
    reported = "\n".join(paper_size.report(size, 2, 1))
    of_slices = sum(rows for (config, _), rows in summary.rows.items() if config.startswith(("ct_", "mri_")))
    assert f"| questions about slices | {of_slices} | 33,864 |" in reported
    assert f"| on top: blank canvases | {summary.rows['blank', 'test']} |" in reported
