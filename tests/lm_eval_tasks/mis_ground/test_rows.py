import json
import pickle
from collections import deque
from io import BytesIO

import numpy as np
import pytest
from lm_eval.tasks import TaskManager
from PIL import Image

from lm_eval_tasks.mis_ground import rows
from lm_eval_tasks.mis_ground.images import Picture
from lm_eval_tasks.mis_ground.prompts import INSTRUCTION, doc_to_blind_text
from lm_eval_tasks.mis_ground.rows import find_dataset
from lm_eval_tasks.running.evaluate import TASKS
from tests.helpers.tiny_dataset import noise, write_dataset


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(rows.ENVIRONMENT_VARIABLE, raising=False)
    return tmp_path


def test_the_data_set_is_looked_for_in_order(nowhere, monkeypatch):
    assert find_dataset() == rows.HUB_DATASET
    (nowhere / "mis-ground").mkdir()
    assert find_dataset() == rows.HUB_DATASET, "a folder of that name without data is not it"
    (nowhere / "mis-ground" / "data").mkdir()
    assert find_dataset() == str(nowhere / "mis-ground")
    for name in ("by-variable", "by-metadata"):
        (nowhere / name).mkdir()
    monkeypatch.setenv(rows.ENVIRONMENT_VARIABLE, str(nowhere / "by-variable"))
    assert find_dataset() == str(nowhere / "by-variable")
    assert find_dataset(str(nowhere / "by-metadata")) == str(nowhere / "by-metadata")
    for named in (
        "somebody/their-ground",
        "somebody/their-ground@v1.0.0-0a1b2c3d",
        "somebody/their-ground@v1:their-own",
    ):
        assert find_dataset(named) == named


def test_a_folder_that_is_named_but_not_there_is_not_passed_over(nowhere, monkeypatch):
    with pytest.raises(FileNotFoundError, match="task metadata 'dataset' names '/not/there'"):
        find_dataset("/not/there")
    monkeypatch.setenv(rows.ENVIRONMENT_VARIABLE, "/nor/there")
    with pytest.raises(FileNotFoundError, match="MIS_GROUND_DATASET names '/nor/there'"):
        find_dataset()


def test_without_a_data_set_the_error_names_all_four_places(nowhere):
    manager = TaskManager(include_path=str(TASKS), include_defaults=False)
    with pytest.raises(FileNotFoundError) as caught:
        manager.load(["mis_ground_ct_axial_directional_box"])
    for place in ("--metadata", "MIS_GROUND_DATASET", "./mis-ground", rows.HUB_DATASET, "HF_HUB_OFFLINE"):
        assert place in str(caught.value)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "both", rows_per_cell=8)


@pytest.fixture(scope="module")
def ct_dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "ct", modalities=["ct"])


def load(name, folder):
    manager = TaskManager(include_path=str(TASKS), include_defaults=False, metadata={"dataset": str(folder)})
    return manager.load([name])["tasks"][name]


def test_a_leaf_holds_the_rows_of_its_cell(dataset):
    docs = list(load("mis_ground_mri_coronal_relational_point", dataset).eval_docs)
    assert len(docs) == 8
    assert {(d["modality"], d["plane"], d["terminology"], d["prompt"]) for d in docs} == {
        ("mri", "coronal", "relational", "point")
    }
    assert len({d["id"] for d in docs}) == 8


def test_a_blind_leaf_holds_all_cells_of_its_prompt_and_no_picture(dataset):
    task = load("blind_mis_ground_text_point", dataset)
    docs = list(task.eval_docs)
    assert len(docs) == 2 * 3 * 3 * 8
    assert {d["prompt"] for d in docs} == {"text_point"}
    assert all("images" not in d and "<image>" not in task.doc_to_text(d) for d in docs)
    assert not getattr(task, "MULTIMODAL", False)


@pytest.mark.parametrize("limit", [2, 10, 20, 40])
def test_any_even_limit_cuts_no_pair_and_spreads_over_the_cells(dataset, limit):
    docs = list(load("blind_mis_ground_text_box", dataset).eval_docs)[:limit]
    pairs = [d["pair_id"] for d in docs]
    assert all(pairs.count(pair) == 2 for pair in pairs)
    assert len({(d["modality"], d["plane"], d["terminology"]) for d in docs}) >= min(limit // 2, 18) / 2


def test_the_order_does_not_depend_on_the_rest_of_the_data(dataset, ct_dataset):
    name = "mis_ground_ct_axial_directional_box"
    fewer = [d["id"] for d in load(name, ct_dataset).eval_docs]
    more = [d["id"] for d in load(name, dataset).eval_docs]
    assert [key for key in more if key in fewer] == fewer


def test_the_prompt_has_a_place_for_each_picture(dataset):
    task = load("mis_ground_ct_axial_directional_box", dataset)
    doc = task.eval_docs[0]
    assert task.doc_to_text(doc).startswith("<image>\nThis is a slice.")
    assert task.doc_to_text(doc | {"images": doc["images"] * 3}).startswith("<image><image><image>\n")
    assert task.doc_to_text(doc).endswith("Options: right; left\n" + INSTRUCTION)
    assert task.doc_to_image(doc) == doc["images"]


def test_decoding_is_greedy_and_says_so(dataset):
    task = load("mis_ground_ct_axial_directional_box", dataset)
    assert task.config.generation_kwargs == {"do_sample": False, "temperature": 0.0, "until": [], "max_gen_toks": 64}
    assert task.config.num_fewshot == 0


def test_an_empty_leaf_stands_in_with_a_document_that_only_says_so(ct_dataset):
    task = load("mis_ground_mri_axial_directional_box", ct_dataset)
    (doc,) = task.eval_docs
    assert task.process_results(doc, ["right"]) == {"empty": 1.0}
    assert task.doc_to_text(doc).startswith("<image>\n")
    assert [picture.mode for picture in task.doc_to_image(doc)] == ["RGB"]
    assert "<image>" not in doc_to_blind_text(rows.placeholder(images=False))


def test_every_process_gets_a_document_of_an_empty_leaf(ct_dataset, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert len(load("mis_ground_mri_axial_directional_box", ct_dataset).eval_docs) == 3
    monkeypatch.setenv("WORLD_SIZE", "8")
    with pytest.raises(ValueError, match="4 rows for 8 processes"):
        load("mis_ground_ct_axial_directional_box", ct_dataset)


def test_a_rebuilt_data_set_is_read_anew(tmp_path):
    name = "mis_ground_ct_axial_directional_box"
    folder = write_dataset(tmp_path / "ground", rows_per_cell=2, modalities=["ct"])
    assert len(load(name, folder).eval_docs) == 2
    write_dataset(folder, rows_per_cell=4, modalities=["ct"])
    assert len(load(name, folder).eval_docs) == 4


def test_a_leaf_chosen_by_an_unknown_column_is_refused(ct_dataset):
    with pytest.raises(ValueError, match="not by organ"):
        rows.Rows(str(ct_dataset)).select({"organ": "liver"})


def picture(seed, coloured):
    encoded = noise(seed, coloured)
    return Picture(lambda: encoded), encoded


@pytest.mark.parametrize("coloured", [True, False])
def test_a_picture_is_what_was_stored_in_rgb(coloured):
    lazy, encoded = picture(1, coloured)
    stored = Image.open(BytesIO(encoded)).convert("RGB")
    assert (lazy.size, lazy.mode) == (stored.size, "RGB")
    assert isinstance(lazy, Image.Image)
    assert np.array_equal(np.asarray(lazy), np.asarray(stored))
    assert np.array_equal(np.asarray(lazy.resize((32, 32))), np.asarray(stored.resize((32, 32))))
    assert lazy.convert("RGB").tobytes() == stored.tobytes()
    assert lazy.copy().getpixel((3, 5)) == stored.getpixel((3, 5))


def test_pictures_are_forgotten_and_decoded_again(monkeypatch):
    monkeypatch.setattr(Picture, "KEPT", 2)
    monkeypatch.setattr(Picture, "_decoded", deque())
    pictures = [picture(seed, True)[0] for seed in range(5)]
    first = [np.asarray(p).copy() for p in pictures]
    assert sum(p._is_decoded for p in pictures) == 2
    assert [np.array_equal(np.asarray(p), pixels) for p, pixels in zip(pictures, first, strict=True)] == [True] * 5


def test_a_picture_is_saved_hashed_and_sent_as_stored():
    lazy, encoded = picture(2, False)
    stream = BytesIO()
    lazy.save(stream, format="PNG")
    assert stream.getvalue() == encoded
    other = BytesIO()
    lazy.save(other, format="PNG", compress_level=1)
    assert Image.open(other).mode == "RGB"
    assert repr(lazy) == repr(picture(2, False)[0]) != repr(picture(3, False)[0])
    sent = pickle.loads(pickle.dumps(lazy))
    assert np.array_equal(np.asarray(sent.convert("RGB")), np.asarray(lazy))


def test_documents_can_be_written_as_json(dataset):
    from lm_eval.utils import handle_non_serializable

    task = load("mis_ground_ct_axial_directional_box", dataset)
    texts = [json.dumps(task.eval_docs[0], default=handle_non_serializable) for _ in range(2)]
    assert texts[0] == texts[1]
    assert "sha256" in texts[0]


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("a/b", ("a/b", {"revision": None, "data_files": {"test": "data/**/*.parquet"}})),
        ("a/b:own", ("a/b", {"revision": None, "name": "own"})),
        ("a/b@v1.0.0-0a1b2c3d:own", ("a/b", {"revision": "v1.0.0-0a1b2c3d", "name": "own"})),
    ],
)
def test_a_data_set_on_the_hub_has_revisions_and_configs(monkeypatch, place, expected):
    asked = []

    def load_dataset(where, **more):
        asked.append((where, {name: value for name, value in more.items() if name != "split"}))
        raise ConnectionError

    monkeypatch.setattr(rows.datasets, "load_dataset", load_dataset)
    with pytest.raises(FileNotFoundError):
        rows.Rows(place)
    assert asked == [expected]
