"""Every family's own classes, tiny and random, through ``mis-ground eval``: plainly and with MIS-SemSam.

Too long for `make test`: `make test-families`.
"""

import json

import pytest

from lm_eval_tasks.running import evaluate
from lm_eval_tasks.running.checks import packages
from tests.helpers.tiny_dataset import write_dataset
from tests.helpers.tiny_families import FAMILIES, save_family

BOX, STACK, BLIND = "mis_ground_ct_axial_directional_box", "mis_ground_stack_ct_axial", "blind_mis_ground_none"


@pytest.fixture(scope="module")
def ground(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("families") / "ground", 2, ("ct",))


@pytest.fixture(scope="module", params=[*FAMILIES, "idefics"])
def family(request, tmp_path_factory):
    return save_family(request.param, tmp_path_factory.mktemp("family") / request.param)


@pytest.mark.parametrize("kind", ["hf-multimodal", "mis-semsam"])
def test_a_family_answers_questions_with_one_image_and_two_and_none(family, ground, kind, tmp_path):
    arguments = f"pretrained={family},dtype=float32" + (",semsam_k=4" if kind == "mis-semsam" else "")
    template = [] if family.name == "idefics" else ["--apply_chat_template"]  # the first Idefics came without one
    shown = {BOX: 1, STACK: 2} | ({} if family.name == "idefics" else {BLIND: 0})  # which answers nothing without one
    command = [str(ground), "--model", kind, "--model_args", arguments, "--device", "cpu", "--batch_size", "2"]
    command += [*template, "--tasks", ",".join(shown), "--limit", "2", "--gen_kwargs", "max_gen_toks=4"]
    assert evaluate.main([*command, "--output_path", str(tmp_path)]) == 0
    for task, images in shown.items():
        (path,) = tmp_path.rglob(f"samples_{task}_*.jsonl")
        samples = [json.loads(line) for line in path.read_text().splitlines()]
        assert len(samples) == 2
        for sample in samples:
            assert len(sample["arguments"]["gen_args_0"].get("arg_2", {}).get("visual", [])) == images
            assert isinstance(sample["filtered_resps"][0], str)


def test_the_table_of_packages_names_families_that_are_tried():
    assert packages().keys() - FAMILIES.keys() <= {"glm4v_moe", "qwen3_vl_moe"}  # whose processors are their siblings'
