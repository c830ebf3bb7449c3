import shutil
from pathlib import Path

import pytest

from dataset_builder.core.errors import DatasetNotFoundError
from lm_eval_tasks.running import evaluate


@pytest.fixture
def not_installed(monkeypatch):
    monkeypatch.setattr(evaluate, "tasks_are_installed", lambda: False)


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr(evaluate, "tasks_are_installed", lambda: True)


def test_the_harness_is_told_where_the_tasks_are_if_it_has_none(installed):
    assert evaluate.with_our_tasks(None) is None
    assert evaluate.with_our_tasks("mine") == "mine"


def test_elsewhere_it_gets_them_beside_the_users_own(not_installed):
    assert evaluate.with_our_tasks(None) == str(evaluate.TASKS)
    assert evaluate.with_our_tasks("mine") == ["mine", str(evaluate.TASKS)]


def test_task_files_of_an_older_install_are_not_taken_for_these(tmp_path, monkeypatch):
    class Found:
        origin = str(tmp_path / "lm_eval" / "__init__.py")

    monkeypatch.setattr(evaluate.importlib.util, "find_spec", lambda name: Found)
    assert not evaluate.tasks_are_installed()
    installed = tmp_path / "lm_eval" / "tasks" / "mis_ground"
    shutil.copytree(evaluate.TASKS, installed)
    assert evaluate.tasks_are_installed()
    template = Path(installed / "_template_yaml")
    template.write_text(template.read_text() + "# older\n")
    assert not evaluate.tasks_are_installed()


def test_models_are_registered():
    from lm_eval.api.registry import get_model

    evaluate.register_models()
    for name in ("mis-ground-constant", "mis-semsam", "mis-semsam-text"):
        assert get_model(name)


def test_a_missing_data_set_is_told_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MIS_GROUND_DATASET", "/not/there")
    with pytest.raises(DatasetNotFoundError, match=r"MIS_GROUND_DATASET names. \[file: /not/there\]"):
        evaluate.main(["--model", "mis-ground-constant", "--tasks", "mis_ground_ct_axial_directional_box"])
