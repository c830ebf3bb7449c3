"""From a built folder to a Hub and back, with the commands that a user gives; the Hub is one on loopback."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from dataset_builder.building.builder import build
from dataset_builder.core.settings import Settings
from dataset_builder.hub.push import push
from dataset_builder.imaging.masks import decode_mask
from dataset_builder.sources import open_source
from tests.helpers.loopback_hub import LoopbackHub, client
from tests.helpers.loopback_repositories import TOKEN
from tests.helpers.small_ground import CELLS, write_ground

ROOT = Path(__file__).parents[2]
PLACE = "me/mis-ground"
PLACES = Settings(
    slices_per_volume=3,
    answer_types=("point", "box", "number"),
    locate_questions_per_volume=12,
    measure_questions_per_volume=8,
    image_size=96,
    inputs=("slice",),
)


@pytest.fixture(scope="module")
def hub():
    with LoopbackHub() as one:
        yield one


@pytest.fixture(scope="module")
def shell(hub, tmp_path_factory):
    """Runs a command in an empty home, where nothing but this Hub can be reached."""
    home = tmp_path_factory.mktemp("home")
    (home / "sitecustomize.py").write_text(ONLY_LOOPBACK)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "MIS_GROUND"))}
    environment = {
        **inherited,
        **hub.environment(),
        "HOME": str(home),
        "HF_HOME": str(home / "hf"),
        "PYTHONPATH": str(home),
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
    }

    def run(*command, check=True, **more):
        done = subprocess.run(
            [sys.executable, *command],
            env=environment | more,
            cwd=home,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        assert not check or done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
        assert TOKEN not in done.stdout + done.stderr
        return done

    run.home = home
    return run


ONLY_LOOPBACK = """
import socket
real = socket.getaddrinfo
def only_here(host, *rest, **named):
    if host == "datasets-server.127.0.0.1":  # what datasets makes of the Hub's name to ask for its viewer
        raise socket.gaierror("no such host")
    if host not in ("127.0.0.1", "localhost", None):
        raise SystemExit(f"ASKED FOR THE HOST {host}")
    return real(host, *rest, **named)
socket.getaddrinfo = only_here
"""


@pytest.fixture(scope="module")
def pushed(hub, shell):
    """A data set pushed with the command, then a split and a config of someone's own added to it."""
    write_ground(shell.home / "mis-ground", CELLS)
    said = shell("-m", "dataset_builder.cli.main", "push", PLACE).stdout
    (shell.home / "mis-ground").rename(shell.home / "first")  # or the harness would take the folder
    more = write_ground(shell.home / "more", [("ct", "axial", "directional", "mask")], slices=False)
    with pytest.MonkeyPatch.context() as patched:
        push(more, PLACE, api=client(hub, patched))
        own = write_ground(shell.home / "own", CELLS[:2], source="nnunet", first=30)
        push(own, PLACE, config="my-hospital", api=client(hub, patched))
    return said


LOAD = """
import json
from datasets import load_dataset
out = {}
everything = load_dataset("me/mis-ground")
out["splits"] = {name: len(rows) for name, rows in everything.items()}
row = everything["test"][0]
out["image"] = row["images"][0].size
out["cell"] = list(load_dataset("me/mis-ground", "ct_axial", split="directional_mask")["prompt"])
stream = load_dataset("me/mis-ground", split="test", streaming=True)
out["streamed"] = sorted(one["id"] for one in stream)
out["whole"] = sorted(everything["test"]["id"])
out["streamed size"] = next(iter(stream))["images"][0].size
out["slices"] = len(load_dataset("me/mis-ground", "slices", split="test"))
out["own"] = len(load_dataset("me/mis-ground", "my-hospital", split="test"))
out["earlier"] = len(load_dataset("me/mis-ground", split="test", revision=REVISION))
print("RESULT" + json.dumps(out))
"""


def test_load_dataset_from_the_hub(pushed, shell, hub):
    (tag, *_) = (ref.removeprefix("refs/tags/") for ref in hub.repos[PLACE].refs if ref.startswith("refs/tags/"))
    assert f'revision="{tag}"' in pushed
    done = shell("-c", LOAD.replace("REVISION", repr(tag)))
    found = json.loads(done.stdout.partition("RESULT")[2])
    assert found["splits"] == {"test": 20}
    assert found["cell"] == ["mask"] * 4
    assert found["streamed"] == found["whole"]
    assert len(set(found["whole"])) == 20
    assert found["image"] == found["streamed size"] == [64, 64]
    assert (found["slices"], found["own"], found["earlier"]) == (1, 8, 16)


ANSWERS = """
import json
from datasets import load_dataset
columns = ["id", "boxes", "points", "masks", "answer_type", "scale", "answer_image", "value", "unit", "tolerance"]
found = {name: load_dataset("me/places", name, split="test") for name in ("locate", "measure")}
sizes = {row["images"][0].size for rows in found.values() for row in rows}
assert sizes == {(96, 96)}, sizes
print("RESULT" + json.dumps({name: rows.select_columns(columns).to_list() for name, rows in found.items()}))
"""


def test_places_and_measurements_come_back_from_the_hub_as_they_were(hub, shell, tmp_path):
    made = build([open_source("phantom:1")], tmp_path / "places", PLACES)
    with pytest.MonkeyPatch.context() as patched:
        push(made.out, "me/places", api=client(hub, patched))
    loaded = json.loads(shell("-c", ANSWERS).stdout.partition("RESULT")[2])
    for config in ("locate", "measure"):
        rows = pq.read_table(made.out / "data" / config / "test.parquet").to_pylist()
        assert loaded[config] == [{name: row[name] for name in loaded[config][0]} for row in rows]
    assert {row["answer_type"] for row in loaded["locate"]} == {"box", "point"}
    assert all(decode_mask(mask).any() for row in loaded["locate"] for mask in row["masks"])
    assert all(row["value"] > 0 and row["tolerance"] > 0 for row in loaded["measure"])


def test_the_harness_scores_with_the_data_from_the_hub(pushed, shell):
    shell(
        *(
            "-m",
            "dataset_builder.cli.main",
            "eval",
            "--model",
            "mis-ground-constant",
            "--tasks",
            "mis_ground_ct_axial_directional_*",
        ),
        *("--output_path", "out", "--log_samples"),
        MIS_GROUND_DATASET=PLACE,
    )
    (path,) = (shell.home / "out").rglob("results_*.json")
    scores = {name: one for name, one in json.loads(path.read_text())["results"].items() if "acc,none" in one}
    assert set(scores) == {f"mis_ground_ct_axial_directional_{prompt}" for prompt in ("box", "none", "mask")}
    assert all((one["acc,none"], one["pair_acc,none"]) == (0.5, 0) for one in scores.values())
    samples = next((shell.home / "out").rglob("samples_mis_ground_ct_axial_directional_mask_*.jsonl"))
    assert len(Path(samples).read_text().splitlines()) == 4


def test_the_space_is_pushed_as_the_docs_say(hub, shell):
    """Its own card names an SDK version that its requirements do not contradict."""
    page = (ROOT / "docs" / "hub.md").read_text(encoding="utf-8")
    (command,) = re.findall(r"`hf (upload [^`]*--repo-type space[^`]*)`", page.replace("\n  ", " "))
    arguments = command.replace("USER/", "me/").replace(" space ", f" {ROOT / 'space'} ", 1).split()
    shell("-m", "huggingface_hub.cli.hf", *arguments)
    sent = {name for name in hub.tree("spaces/me/mis-ground-viewer") if name != ".gitattributes"}
    assert sent == {path.name for path in (ROOT / "space").iterdir() if path.is_file()}
    card = yaml.safe_load(hub.read("spaces/me/mis-ground-viewer", "README.md").decode().split("---")[1])
    assert card["sdk"] == "gradio"
    assert card["app_file"] in sent
    pinned = re.findall(r"^gradio\S*==(\S+)$", (ROOT / "space" / "requirements.txt").read_text(), flags=re.MULTILINE)
    assert pinned in ([], [card["sdk_version"]])
