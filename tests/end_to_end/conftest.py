import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable, Iterable
from pathlib import Path

import lm_eval
import pytest
from filelock import FileLock

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The built wheel, one for all workers."""

    def make(folder: Path) -> None:
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
        subprocess.run(command, check=True, capture_output=True, text=True)

    (path,) = made_once(tmp_path_factory, "dist", make).glob("*.whl")
    return path


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder that is made by the worker that needs it first, and used by all."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            make(folder)
    return folder


@pytest.fixture(scope="session")
def installed_python(wheel, tmp_path_factory) -> Path:
    """The interpreter of an environment with the wheel, installed into a harness that knew nothing of it before."""
    ignored = shutil.ignore_patterns("mis_ground", "__pycache__")
    return python_of(made_once(tmp_path_factory, "installed", lambda folder: install(wheel, folder, ignored)))


@pytest.fixture(scope="session")
def slim_python(wheel, tmp_path_factory) -> Path:
    """As ``installed_python``, in a harness without tasks of its own: to read all those takes it 11 s of CPU a run."""

    def others(folder: str, names: list[str]) -> list[str]:
        is_tasks = Path(folder).parts[-2:] == ("lm_eval", "tasks")
        return [n for n in names if n == "__pycache__" or (is_tasks and (Path(folder) / n).is_dir())]

    return python_of(made_once(tmp_path_factory, "slim", lambda folder: install(wheel, folder, others)))


def python_of(environment: Path) -> Path:
    """The interpreter of an environment."""
    return environment / "bin" / "python"


def install(wheel: Path, folder: Path, ignore: Callable[[str, list[str]], Iterable[str]]) -> None:
    """Make an environment with the wheel in ``folder``.

    All else is taken from the running environment; the harness is copied, since the wheel puts its tasks into it.
    """
    venv.create(folder, symlinks=True)
    python = python_of(folder)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (site / "running.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for line in (path for path in sys.path if path.endswith("site-packages")):
        if line != sysconfig.get_path("purelib"):
            with (site / "running.pth").open("a") as file:
                file.write(line + "\n")
    with (site / "running.pth").open("a") as file:
        file.write("import torchvision_schemas\n")  # .pth files of the folders named here are not read
    shutil.copytree(Path(lm_eval.__file__).parent, site / "lm_eval", ignore=ignore)
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(command, check=True, capture_output=True, text=True)
