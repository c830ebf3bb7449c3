"""The names that answers are searched for: every wording of the vocabulary, with and without its explanation."""

import random
import re

import pytest

from dataset_builder.vocabulary import confusable, label_map, structures
from lm_eval_tasks.mis_ground.reading import read
from lm_eval_tasks.mis_ground.reading.names import aliases
from lm_eval_tasks.mis_ground.reading.text import plain

ALL = structures()


def short(wording: str) -> str:
    return re.sub(r" \([^()]+\)$", "", wording)


def test_every_wording_of_the_vocabulary_is_in_the_table_with_its_other_register():
    for structure in ALL.values():
        names = {plain(structure.clinical), plain(structure.lay), plain(short(structure.lay))}
        assert names <= set(aliases()[plain(structure.clinical)]), structure.name


@pytest.mark.parametrize("form", ["{}", "The marked structure is the {}.", "**Answer:** {}"])
def test_an_answer_may_leave_the_explanation_out(form):
    draw = random.Random(0)
    for label_map_name in ("totalsegmentator_v2_ct", "freesurfer_aparc_aseg"):
        known = sorted(set(label_map(label_map_name).values()))
        for name in known:
            if short(ALL[name].lay) == ALL[name].lay:
                continue
            others = draw.sample([other for other in known if not confusable(name, other)], 3)
            options = [ALL[one].lay for one in (name, *others)]
            for said in (ALL[name].lay, short(ALL[name].lay), ALL[name].clinical):
                answer = read(form.format(said), options, "What is the structure marked A?").option
                assert answer == ALL[name].lay, (said, options, answer)
