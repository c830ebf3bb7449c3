"""The rooms of ``dataset_builder`` import only from rooms before them: the order in which a scan becomes a data set."""

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import dataset_builder

ROOT = Path(dataset_builder.__file__).parent

ROOMS = (
    ("core",),
    ("files",),
    ("vocabulary",),
    ("imaging",),
    ("sources",),
    ("dataset",),
    ("slices",),
    ("pictures",),
    ("questions",),
    ("building",),
    ("gallery", "hub", "check"),
    ("readers",),
    ("cli",),
)
"""From the ground up; the rooms of one floor know nothing of each other."""

FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}


def imports(path: Path) -> Iterator[str]:
    """Names of the modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(module: str) -> str | None:
    """The room of a module of this package; ``None`` for any other module."""
    parts = module.split(".")
    return parts[1] if parts[0] == "dataset_builder" and len(parts) > 1 and parts[1] in FLOOR else None


def test_every_folder_is_a_room():
    assert {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"} == set(FLOOR)


def test_few_files_lie_outside_the_rooms():
    assert len(list(ROOT.glob("*.py"))) <= 6


@pytest.mark.parametrize("room", FLOOR)
def test_a_room_imports_only_from_rooms_below_it(room):
    backward = [
        f"{path.relative_to(ROOT.parent)} imports {module}"
        for path in sorted((ROOT / room).rglob("*.py"))
        for module in imports(path)
        if (other := room_of(module)) is not None and other != room and FLOOR[other] >= FLOOR[room]
    ]
    assert not backward


@pytest.mark.parametrize("room", FLOOR)
def test_a_room_says_what_it_is_for(room):
    text = ast.get_docstring(ast.parse((ROOT / room / "__init__.py").read_text(encoding="utf-8")))
    assert text
    assert "ay import" in text or room == "core"


def test_the_harness_is_known_to_the_command_only():
    knowing = {
        room_of(".".join(path.relative_to(ROOT.parent).with_suffix("").parts))
        for path in ROOT.rglob("*.py")
        for module in imports(path)
        if module.split(".")[0] in ("lm_eval", "lm_eval_tasks", "semsam")
    }
    assert knowing <= {"cli"}


def test_the_statistics_know_nothing_of_the_rest():
    rest = {"dataset_builder", "lm_eval_tasks", "semsam", "lm_eval", "torch", "transformers"}
    for path in (ROOT.parent / "cluster_statistics").glob("*.py"):
        assert not rest & {module.split(".")[0] for module in imports(path)}


READ = {".css", ".html", ".jinja", ".js", ".json", ".md", ".py", ".pyi", ".sh", ".toml", ".yaml", ".yml"}
"""Endings of files that people read."""
MADE_BY_PROGRAMS = {"tokenizer.json"}
"""A model's own file, which nobody reads line by line."""
LONGEST = 400


def test_no_file_is_long():
    """Of those in the repository; what a demo or a build leaves beside them is nobody's to read."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT.parent, capture_output=True, text=True, check=True)
    paths = [ROOT.parent / name for name in listed.stdout.split("\0") if name]
    read = [path for path in paths if path.suffix in READ and path.name not in MADE_BY_PROGRAMS and path.exists()]
    assert len(read) > 500
    lines = {str(path): path.read_text(encoding="utf-8").count("\n") for path in read}
    assert not {path: count for path, count in lines.items() if count > LONGEST}


def test_test_files_import_nothing_from_each_other():
    """What two of them need is in ``tests/helpers`` or a fixture of their folder."""
    shared = {
        f"{path.relative_to(ROOT.parent)} imports {module}"
        for path in (ROOT.parent / "tests").rglob("*.py")
        for module in imports(path)
        if module.startswith("tests.") and any(part.startswith(("test_", "conftest")) for part in module.split(".")[1:])
    }
    assert not shared
