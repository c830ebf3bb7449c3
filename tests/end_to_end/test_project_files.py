"""Files around the code agree with the project: container, workflow, issue templates, trials of extras."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.environment.install_trials import BASE, TRIALS
from tests.environment.installs import too_low

ROOT = Path(__file__).parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
TEMPLATES = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def test_every_extra_has_a_trial():
    assert set(TRIALS) == {BASE, *EXTRAS}


def test_a_bound_that_nobody_can_have_is_found():
    pins = "\n".join(f"{re.split(r'[^A-Za-z0-9._-]', line)[0]}==0.0.1" for line in PYPROJECT["project"]["dependencies"])
    assert too_low(pins, ()) == []
    assert [re.split(">=", each)[0] for each in too_low(pins.replace("numpy==0.0.1", "numpy==99.0"), ())] == ["numpy"]


def test_the_image_has_extras_of_the_project_and_what_the_wheel_is_built_from():
    for found in re.findall(r"\.whl\)\[([\w,]+)\]", DOCKERFILE):
        assert set(found.split(",")) <= set(EXTRAS)
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    wheel = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {*wheel["packages"], *(source.split("/")[0] for source in wheel["force-include"])}
    assert needed | {"pyproject.toml", "hatch_build.py", "README.md", "LICENSE", "constraints.txt"} == sent


def test_the_image_runs_as_no_root_and_on_both_bases():
    stages = re.split(r"^FROM ", DOCKERFILE, flags=re.MULTILINE)[2:]
    assert [re.search(r" AS (\w+)", stage)[1] for stage in stages] == ["cuda", "cpu"]
    assert all(re.search(r"^USER \d+:\d+$", stage, flags=re.MULTILINE) for stage in stages)


def test_the_workflow_runs_make_test():
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text(encoding="utf-8"))
    assert workflow["permissions"] == {"contents": "read"}
    (job,) = workflow["jobs"].values()
    assert [step["run"].split()[:2] for step in job["steps"] if "run" in step] == [["make", "test"]]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_an_issue_template_asks_for_no_scans(path):
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    if path.stem == "config":
        return
    assert {"name", "description", "body"} <= form.keys()
    identities = [part["id"] for part in form["body"] if part["type"] != "markdown"]
    assert len(identities) == len(set(identities))
    if path.stem != "idea":
        assert "No scans" in form["body"][0]["attributes"]["value"]
