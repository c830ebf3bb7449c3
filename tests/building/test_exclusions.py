"""Facts that a build leaves out, with everything asked about them, and whatever makes its rows again does too."""

import json
from collections import Counter

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from dataset_builder.building.builder import build
from dataset_builder.building.exclusions import exclusions_text, read_exclusions
from dataset_builder.building.recipe import rebuild, write_recipe
from dataset_builder.check import check_dataset
from dataset_builder.cli.main import app
from dataset_builder.core.errors import BuildError
from dataset_builder.core.settings import Settings
from dataset_builder.dataset.manifest import read_record
from dataset_builder.sources import open_source
from tests.helpers.folders import contents

OPTIONS = [
    "--seed",
    "5",
    "--planes",
    "axial",
    "--prompts",
    "none,box",
    "--image-size",
    "64",
    "--answer-types",
    "choice",
]


def rows_of(folder):
    found = [row for path in sorted((folder / "data").rglob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    return {row["id"]: row for row in found}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exclusions")
    settings = Settings(seed=5, planes=("axial",), prompts=("none", "box"), image_size=64, answer_types=("choice",))
    build([open_source("phantom:1")], folder / "ground", settings, store=folder / "store")
    return folder


@pytest.fixture(scope="module")
def chosen(whole):
    """The fact that is asked in most ways, and one of a stack."""
    rows = rows_of(whole / "ground").values()
    most = Counter(row["fact_id"] for row in rows).most_common(1)[0][0]
    return {most, next(row["fact_id"] for row in rows if row["input"] == "stack")}


@pytest.fixture(scope="module")
def without(whole, chosen):
    items = [{"id": "whatever", "fact_id": fact, "reports": []} for fact in sorted(chosen)]
    (whole / "flagged.json").write_text(exclusions_text([*items, {"fact_id": "0" * 16}]))
    command = ["build", "--store", str(whole / "store"), "--out", str(whole / "less"), *OPTIONS]
    return CliRunner().invoke(app, [*command, "--exclude", str(whole / "flagged.json")], catch_exceptions=False)


def test_a_fact_goes_with_all_its_twins_and_nothing_else_changes(whole, chosen, without):
    assert without.exit_code == 0
    before, after = rows_of(whole / "ground"), rows_of(whole / "less")
    gone = [row for row in before.values() if row["fact_id"] in chosen]
    # Both of a pair, prompts, wordings, the blank canvas and the turned image.
    assert {row["input"] for row in gone} == {"slice", "blank", "stack"}
    assert len({row["view"] for row in gone}) > 1
    assert len({row["prompt"] for row in gone}) > 1
    assert after == {identity: row for identity, row in before.items() if row["fact_id"] not in chosen}


def test_the_summary_and_the_record_count_them(whole, chosen, without):
    gone = sum(row["fact_id"] in chosen for row in rows_of(whole / "ground").values())
    assert f"Left out as excluded: {gone} question(s) about 2 fact(s)" in without.output
    assert "1 of 3 excluded facts are not in this build" in " ".join(without.output.split())
    note = read_record(whole / "less").builds[0]
    assert note.excluded == {"listed": 3, "facts": 2, "questions": gone}
    assert note.settings["exclude"] == sorted([*chosen, "0" * 16])
    assert read_record(whole / "ground").builds[0].excluded == {}


def test_the_audit_makes_the_rows_again_without_them(whole, without):
    audit = check_dataset(whole / "less")
    assert audit.findings.checks["reproduction"].status == "ok"
    assert audit.ok


def test_a_recipe_leaves_them_out_too(whole, without, tmp_path):
    recipe = write_recipe(whole / "less", tmp_path / "recipe")
    rebuild(str(recipe), ["phantom:1"], tmp_path / "again")
    assert contents(tmp_path / "again") == contents(whole / "less")


@pytest.mark.parametrize(
    ("text", "facts"),
    [
        ("# mine\n0123456789abcdef\n\nfedcba9876543210  # wrong marker\n", ("0123456789abcdef", "fedcba9876543210")),
        (exclusions_text([{"fact_id": "0123456789abcdef"}, {"fact_id": "0123456789abcdef"}]), ("0123456789abcdef",)),
        ("", ()),
    ],
)
def test_lists_are_read(tmp_path, text, facts):
    (tmp_path / "list").write_text(text)
    assert read_exclusions(tmp_path / "list") == facts


@pytest.mark.parametrize(
    "text",
    [
        "0123456789abcdef-0",
        "{",
        json.dumps({"format": "mis-ground-exclusions", "format_version": 2, "items": []}),
        json.dumps({"format": "mis-ground-exclusions", "format_version": 1, "items": [{"id": "x"}]}),
        json.dumps({"format": "mis-ground-reader-answers", "format_version": 1, "items": []}),
    ],
)
def test_what_is_no_list_is_refused(tmp_path, text):
    (tmp_path / "list").write_text(text)
    with pytest.raises(BuildError, match=r"cannot be read.*list.*flagged\.json"):
        read_exclusions(tmp_path / "list")
