"""A source that travels once: what arrives, how much of it, and when."""

import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import pytest

from dataset_builder.building.builder import build
from dataset_builder.building.sent_once import SentOnce
from dataset_builder.core.errors import BuildError
from dataset_builder.core.settings import Settings
from dataset_builder.sources import open_source
from dataset_builder.sources.base import Case, SourceOf


@dataclass(frozen=True)
class WithTable(SourceOf):
    """The phantoms, with a long table that counts how often it is put on its way."""

    table: tuple[int, ...]

    def cases(self):
        return self.source.cases()

    def read(self, case):
        assert len(self.table) == 100_000
        return self.source.read(case)


class Counted:
    """Counts its picklings."""

    name, licence, citation, url = "counted", "MIT", "", ""
    count = 0

    def __getstate__(self):
        Counted.count += 1
        return {}

    def cases(self):
        return [Case("counted", "a", "ct", "MIT")]


def read_name(item):
    source, case = item
    return source.name, [known.subject for known in source.cases()], case.subject


def test_a_worker_gets_the_source_itself_and_it_is_pickled_once(tmp_path):
    Counted.count = 0
    sent = SentOnce(Counted(), tmp_path / "source")
    assert (sent.name, sent.licence, Counted.count) == ("counted", "MIT", 0)
    (case,) = sent.cases()
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert list(pool.map(read_name, [(sent, case)] * 3)) == [("counted", ["a"], "a")] * 3
    assert Counted.count == 1
    assert [file.name for file in tmp_path.iterdir()] == ["source"]


def test_a_long_table_does_not_travel_with_each_case(tmp_path):
    source = WithTable(open_source("phantom:2"), tuple(range(100_000)))
    assert len(pickle.dumps(source)) > 200_000
    assert len(pickle.dumps(SentOnce(source, tmp_path / "source"))) < 1_000
    settings = Settings(slices_per_volume=1, questions_per_volume=4, inputs=("slice",), views=("plain",), image_size=64)
    assert build([source], tmp_path / "out", settings, num_proc=2).volumes == 2


def test_who_only_passes_it_on_needs_neither_file_nor_class(tmp_path):
    """As a cluster's scheduler, which unpickles what it sends on."""
    sent = pickle.dumps(SentOnce(Counted(), tmp_path / "source"))
    away = (tmp_path / "source").rename(tmp_path / "elsewhere")
    Counted.count = 0
    passed_on = pickle.dumps(pickle.loads(sent))
    assert len(passed_on) < 1_000
    away.rename(tmp_path / "source")
    assert pickle.loads(passed_on).name == "counted"
    assert Counted.count == 0


def test_a_class_of_a_script_arrives_where_the_script_is_not(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import pickle, sys\n"
        "from pathlib import Path\n"
        "from dataset_builder.building.sent_once import SentOnce\n"
        "class Mine:\n"
        "    name = 'of a script'\n"
        "path = Path(sys.argv[1])\n"
        "(path / 'sent').write_bytes(pickle.dumps(SentOnce(Mine(), path / 'source')))\n"
    )
    subprocess.run([sys.executable, script, tmp_path], check=True)
    assert pickle.loads((tmp_path / "sent").read_bytes()).name == "of a script"


def test_another_source_under_the_same_name_is_another_one(tmp_path):
    """As in a cluster's worker, which lives on from build to build."""
    first, second = (SentOnce(open_source(f"phantom:{count}"), tmp_path / "source") for count in (1, 2))
    arrived = pickle.loads(pickle.dumps(first))
    assert len(list(arrived.cases())) == 1
    late = pickle.loads(pickle.dumps(SentOnce(open_source("phantom:3"), tmp_path / "source")))
    assert len(list(pickle.loads(pickle.dumps(second)).cases())) == 2
    with pytest.raises(BuildError, match="of another build"):
        late.cases()
