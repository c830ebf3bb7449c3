import re

from lm_eval.tasks import TaskManager

from lm_eval_tasks import generate
from lm_eval_tasks.running.evaluate import TASKS


def test_the_task_files_are_current(tmp_path):
    generate.main(tmp_path)
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    present = {path.name: path.read_bytes() for path in TASKS.glob("*.yaml")}
    assert made == present


def test_the_template_has_the_version_of_the_tasks():
    (version,) = re.findall(r"^  version: (\S+)$", (TASKS / "_template_yaml").read_text(), re.MULTILINE)
    assert version == str(generate.TASK_VERSION)


def test_a_file_that_is_no_longer_made_goes_and_others_stay(tmp_path):
    (tmp_path / "mis_ground_of_old.yaml").write_text(generate.HEADER + "task: mis_ground_of_old\n")
    (tmp_path / "mine.yaml").write_text("task: mine\n")
    generate.main(tmp_path)
    assert not (tmp_path / "mis_ground_of_old.yaml").exists()
    assert (tmp_path / "mine.yaml").exists()


def test_names_are_those_of_the_design():
    manager = TaskManager(include_path=str(TASKS), include_defaults=False)
    leaves = {name for name in manager.all_subtasks if name.startswith("mis_ground_")}
    controls = {f"mis_ground_blank_{prompt}" for prompt in ("label", "point", "box", "mask")}
    controls |= {f"mis_ground_view_{view}" for view in ("mirrored", "rotated90", "rotated180", "occluded", "swapped")}
    controls |= {"mis_ground_statement_name", "mis_ground_statement_none"}
    controls |= {"mis_ground_options_shifted", "mis_ground_options_yes_no"}
    stacks = {f"mis_ground_stack_{m}_{p}" for m in ("ct", "mri") for p in ("axial", "coronal", "sagittal")}
    assert controls | stacks <= leaves
    answers = {f"mis_ground_locate_{kind}{moved}" for kind in ("box", "point") for moved in ("", "_moved")}
    answers |= {f"mis_ground_measure_{what}" for what in ("distance", "diameter", "angle")}
    assert answers <= leaves
    assert leaves - controls - stacks - answers == {
        f"mis_ground_{modality}_{plane}_{terminology}_{prompt}"
        for modality in ("ct", "mri")
        for plane in ("axial", "coronal", "sagittal")
        for terminology in ("anatomical", "directional", "relational")
        for prompt in ("none", "label", "point", "box", "mask", "text_point", "text_box")
    }
    assert set(manager.all_subtasks) - leaves == {f"blind_mis_ground_{p}" for p in ("none", "text_point", "text_box")}
    assert manager.all_groups == ["blind_mis_ground", "locate_mis_ground", "measure_mis_ground", "mis_ground"]
    assert all(name.startswith("mis_ground_tag_") for name in manager.all_tags)
    assert {
        "mis_ground_tag_ct",
        "mis_ground_tag_axial",
        "mis_ground_tag_directional",
        "mis_ground_tag_text_box",
    } <= set(manager.all_tags)


def test_a_wildcard_takes_no_group_and_no_leaf_without_images():
    manager = TaskManager(include_path=str(TASKS), include_defaults=False)
    taken = manager.match_tasks(["mis_ground_*"])
    assert not set(taken) & set(manager.all_groups)
    assert not [name for name in taken if "blind" in name]
    assert manager.match_tasks(["blind_mis_ground_*"]) == [
        f"blind_mis_ground_{prompt}" for prompt in ("none", "text_box", "text_point")
    ]
