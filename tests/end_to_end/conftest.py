import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import lm_eval
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    """The built wheel."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed_python(wheel, tmp_path_factory) -> Path:
    """The interpreter of an environment with the wheel, installed into a harness that knew nothing of it before.

    All else is taken from the running environment; the harness is copied, since the wheel puts its tasks into it.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    site = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (site / "running.pth").write_text(sysconfig.get_path("purelib") + "\n")
    for line in (path for path in sys.path if path.endswith("site-packages")):
        if line != sysconfig.get_path("purelib"):
            with (site / "running.pth").open("a") as file:
                file.write(line + "\n")
    shutil.copytree(
        Path(lm_eval.__file__).parent, site / "lm_eval", ignore=shutil.ignore_patterns("mis_ground", "__pycache__")
    )
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(command, check=True, capture_output=True, text=True)
    return python
