"""An empty environment to install into, and what is run in it."""

import atexit
import functools
import os
import shutil
import subprocess
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"

PIP = "pip install --quiet --disable-pip-version-check --no-compile"


@dataclass(frozen=True)
class Place:
    """An environment and a folder to work in."""

    environment: Path
    work: Path

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.environment / "bin" / "python"

    def run(self, command: str, **variables: str) -> str:
        """Run a command line in the environment; what it printed.

        Raises:
            SystemExit: if it failed, with what it printed.
        """
        known = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
        path = f"{self.environment / 'bin'}{os.pathsep}{os.environ['PATH']}"
        quiet = {"HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "NO_MKDOCS_2_WARNING": "1", "PATH": path}
        if "PIP_FIND_LINKS" in known:
            quiet["UV_FIND_LINKS"] = known["PIP_FIND_LINKS"].replace(" ", ",")
        quiet["MIS_GROUND_PSEUDONYMS"] = str(self.work / "pseudonyms.json")
        print(f"  $ {command}", flush=True)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command],
            env=known | quiet | variables,
            cwd=self.work,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-5000:]}")
        return done.stdout


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that is deleted with all that is in it."""
    folder = Path(tempfile.mkdtemp(prefix="mis-ground-installs-", dir=os.environ.get("MIS_GROUND_INSTALLS")))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def empty_place(folder: Path, pip: bool = True) -> Place:
    """A new environment with pip only, or with nothing at all: for uv, which needs no pip there."""
    venv.create(folder / "environment", with_pip=pip)
    (folder / "work").mkdir()
    return Place(folder / "environment", folder / "work")


@functools.cache
def uv() -> str:
    """Where uv is: in an environment of its own, which goes with this process."""
    folder = Path(tempfile.mkdtemp(prefix="mis-ground-uv-", dir=os.environ.get("MIS_GROUND_INSTALLS")))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin" / "python", "-m", *PIP.split(), "--constraint", CONSTRAINTS, "uv"], check=True)
    return str(folder / "bin" / "uv")
