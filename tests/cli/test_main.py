import os
import resource
import subprocess
import sys
from importlib import metadata

import pytest
from typer.testing import CliRunner

from dataset_builder.cli import main as cli


def run(*args: str, **kwargs) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dataset_builder.cli.main", *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, **kwargs)


def test_help_names_every_command_and_imports_nothing_heavy():
    code = (
        "import sys\nfrom dataset_builder.cli import main\n"
        "print(sorted({'torch', 'transformers', 'lm_eval', 'datasets', 'cv2', 'nibabel'} & set(sys.modules)))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "[]"
    text = CliRunner().invoke(cli.app, ["--help"]).output
    for command in ("demo", "fetch", "build", "gallery", "eval"):
        assert command in text


@pytest.mark.parametrize(("chosen", "seen"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_idle_threads_do_not_spin_unless_the_user_wants_it(chosen, seen):
    code = "import dataset_builder.cli.main, os, sys; print(os.environ['OMP_WAIT_POLICY'], 'torch' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {} if chosen is None else {"OMP_WAIT_POLICY": chosen}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert ran.stdout.split() == [seen, "False"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["build", "--source", "nowhere"], "nowhere"),
        (["build"], "--source NAME[:DIR]"),
        (["build", "--source", "phantom:1", "--planes", "axial,sideways"], "axial, coronal, sagittal"),
        (["build", "--source", "phantom:1", "--questions-per-volume", "many"], "whole number or 'all'"),
        (["build", "--source", "phantom:1", "--split", "dev"], "'test', 'train'"),
        (["build", "--source", "phantom:1", "--engine", "spark"], "'processes', 'dask'"),
        (["gallery", "not-there"], "not-there"),
    ],
)
def test_a_mistake_is_told_in_a_sentence(args, message, tmp_path):
    result = run(*args, cwd=tmp_path)
    assert result.returncode == 2
    assert message in " ".join(result.stderr.split())
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "mis-ground").exists()


def test_build_and_gallery(tmp_path):
    made = run(
        *("build", "--source", "phantom:2", "--slices-per-volume", "2", "--questions-per-volume", "20"),
        *("--planes", "axial,coronal", "--prompts", "none,box", "--image-size", "128", "--num-proc", "2"),
        cwd=tmp_path,
    )
    assert made.returncode == 0, made.stderr
    assert "questions" in made.stdout
    shown = run("gallery", "mis-ground", "--out", "gallery.html", "--per-cell", "1", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert (tmp_path / "gallery.html").stat().st_size > 10_000


def test_the_demo_never_replaces_a_data_set_that_it_did_not_make(tmp_path):
    (tmp_path / "mis-ground").mkdir()
    (tmp_path / "mis-ground" / "mine.txt").write_text("mine")
    result = run("demo", cwd=tmp_path)
    assert result.returncode == 2
    assert "--out" in result.stderr
    assert (tmp_path / "mis-ground" / "mine.txt").read_text() == "mine"


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path):
    """A limit on the size of files stands for the disk: the system refuses to write on."""
    small = ["--image-size", "64", "--inputs", "slice", "--views", "plain", "--questions-per-volume", "4"]
    out = tmp_path / "ground"

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))

    full = run("build", "--source", "phantom:1", "--out", str(out), *small, preexec_fn=limited)
    assert full.returncode == 2, full.stderr
    assert "Free some space on the disk" in full.stderr
    assert "Traceback" not in full.stderr
    assert not out.exists()
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".parquet", ".json")]


def test_the_version_is_that_of_the_installed_package():
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, f"mis-ground {metadata.version('mis-ground')}\n")
