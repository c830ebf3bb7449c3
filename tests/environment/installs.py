"""Installs the wheel into empty environments and tries it there: with each extra, and at both ends of its bounds.

    python -m tests.environment.installs extras [EXTRA ...]      each extra alone; none of them (base), by pip
    python -m tests.environment.installs wheels [EXTRA ...]      what has no wheel, and whether it needs a compiler;
                                                                 for other Pythons, too (python3.12 ...)
    python -m tests.environment.installs bounds [lowest|newest]  most extras, at their lowest and newest versions

`make test-extras` and `make test-bounds` run it, with the test environment's Python. Each environment is made in a
temporary folder (MIS_GROUND_INSTALLS, if that is set) and deleted after its trial; the largest takes about 8 GB.
"""

import atexit
import functools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
import venv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONSTRAINTS = ROOT / "constraints.txt"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = tuple(PROJECT["optional-dependencies"])
BASE = "base"
OTHER_PYTHONS = ("python3.12", "python3.13")
"""For which constraints.txt is resolved, too. 3.12 is that of the Dockerfile's CUDA base."""

PIP = "pip install --quiet --disable-pip-version-check --no-compile"
BUILD = "mis-ground build --slices-per-volume 3 --questions-per-volume 126 --image-size 128 --num-proc 1"
TASKS = "--tasks mis_ground_ct_axial_directional_box --limit 2 --log_samples --output_path results"
TESTS = (
    "tests/cluster_statistics/test_intervals.py",
    "tests/core/test_hashing.py",
    "tests/dataset/test_arrow_schema.py",
    "tests/dataset/test_parquet.py",
    "tests/files/test_disk_list.py",
    "tests/imaging/test_geometry.py",
    "tests/imaging/test_nifti.py",
    "tests/lm_eval_tasks/mis_ground/test_utils.py",
    "tests/lm_eval_tasks/running/test_answer_store.py",
    "tests/lm_eval_tasks/running/test_resume.py",
    "tests/pictures",
    "tests/semsam/test_custom_generate.py",
    "tests/semsam/test_logits_processor.py",
    "tests/semsam/test_rescoring.py",
    "tests/sources/formats",
    "tests/vocabulary",
)
"""A part of the tests that is run at both ends of the bounds: whatever leans on a package's own behaviour."""


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


def built_wheel(folder: Path) -> Path:
    """The wheel of this checkout."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def with_extra(wheel: Path, extras: Sequence[str]) -> str:
    """What pip is asked for."""
    return f"{wheel}[{','.join(extras)}]" if extras else str(wheel)


# ---------------------------------------------------------------------------------------------------- what each is for


def try_base(place: Place) -> None:
    """From phantoms to a report, with nothing but the package."""
    place.run("mis-ground --version")
    place.run(f"{BUILD} --source phantom:2 --out mis-ground")
    place.run("mis-ground check mis-ground && mis-ground gallery mis-ground --out gallery.html")
    model = place.run("mis-ground model").strip()
    place.run(f"mis-ground eval mis-ground --model hf-multimodal --model_args pretrained={model} {TASKS}")
    place.run(f"mis-ground eval mis-ground --model mis-semsam --model_args pretrained={model},semsam_k=16 {TASKS}")
    place.run("mis-ground report results --out report && test -s report/index.html")


def try_api(place: Place) -> None:
    """A model behind a chat server on this machine."""
    from tests.helpers.chat_server import ChatServer

    place.run(f"{BUILD} --source phantom:1 --out mis-ground")
    with ChatServer() as server:
        address = f"model=vllm/looks,base_url={server.url}/chat/completions"
        place.run(
            f"mis-ground eval mis-ground --model local-chat-completions --model_args {address} --apply_chat_template "
            f"{TASKS}"
        )
        if not server.requests:
            raise SystemExit("The server was not asked.")


def try_demo(place: Place) -> None:
    """SmolLM2 as it is shipped, which needs gguf, and the harness that asks it."""
    model = place.run('python -c "from lm_eval_tasks.smollm2 import fetch_smollm2; print(fetch_smollm2())"')
    place.run(f"{BUILD} --source phantom:1 --out mis-ground")
    place.run(
        f"mis-ground eval mis-ground --model hf --model_args pretrained={model.strip()} --apply_chat_template "
        "--tasks blind_mis_ground_none --limit 1 --log_samples --output_path results"
    )


def try_cluster(place: Place) -> None:
    """The build on Dask's workers, with the bytes of the build without."""
    place.run(f"{BUILD} --source phantom:2 --out one")
    place.run(f"{BUILD.replace('--num-proc 1', '--num-proc 2')} --engine dask --source phantom:2 --out other")
    place.run("cd one && find . -name '*.parquet' > ../files && xargs -I{} cmp {} ../other/{} < ../files")


def try_remote(place: Place) -> None:
    """A slice store in a bucket of an S3 server on this machine."""
    from tests.helpers.loopback_s3 import LoopbackS3

    with LoopbackS3() as server:
        place.run("python -c \"import s3fs; s3fs.S3FileSystem().mkdir('slices')\"", **server.environment)
        place.run(f"{BUILD} --source phantom:1 --store s3://slices/store --out mis-ground", **server.environment)
        if not any(method == "PUT" for method, _ in server.asked):
            raise SystemExit("Nothing was stored in the bucket.")


def try_formats(place: Place) -> None:
    """Scans and labels as NRRD and MetaImage files."""
    import SimpleITK

    from dataset_builder.sources.phantoms import torso
    from tests.helpers.ways_in import itk

    body = torso(1, "ct", spacing=(6.0, 6.0, 6.0))
    SimpleITK.WriteImage(itk(body.image, body.affine), str(place.work / "one_image.nrrd"))
    SimpleITK.WriteImage(itk(body.labels, body.affine), str(place.work / "one_labels.mha"))
    names = "".join(f"  {value}: {name}\n" for value, name in body.names.items())
    (place.work / "pairs.yaml").write_text(
        f"images: '{{case}}_image.nrrd'\nlabels: '{{case}}_labels.mha'\nmodality: ct\nnames:\n{names}"
    )
    place.run(f"{BUILD} --source pairs:pairs.yaml --out mis-ground --strict")


def try_dicom(place: Place) -> None:
    """A DICOM series and its segmentation, plain and in every compression that a decoder is installed for."""
    from dataset_builder.sources.phantoms import torso
    from tests.helpers.dicom_files import write_study

    body = torso(1, "ct", spacing=(6.0, 6.0, 6.0))
    write_study(place.work / "pacs", body.image, body.labels, body.names, body.affine)
    place.run(f"{BUILD} --source dicom:pacs --out plain --strict")
    for name, syntax in (("JPEGLSLossless", "jls"), ("JPEG2000Lossless", "j2k"), ("RLELossless", "rle")):
        place.run(
            f'cp -r pacs {syntax} && python -c "import pathlib, pydicom, pydicom.uid as uid\n'
            f"for path in pathlib.Path('{syntax}/1').rglob('*'):\n"
            "    if path.is_file():\n"
            f'        one = pydicom.dcmread(path); one.compress(uid.{name}); one.save_as(path)"'
        )
        place.run(f"{BUILD} --source dicom:{syntax} --out ground-{syntax} --strict")


def try_readers(place: Place) -> None:
    """Fleiss' kappa of people who read the same questions, as a report has it."""
    place.run(
        'python -c "import numpy; from lm_eval_tasks.report.readers import kappa; '
        'assert round(kappa(numpy.array([[0, 0, 0], [1, 1, 1], [0, 0, 1]]), 2), 2) == 0.55"'
    )


def try_docs(place: Place) -> None:
    """The pages as a site."""
    place.run(f"mkdocs build --quiet --strict --config-file {ROOT / 'mkdocs.yml'} --site-dir {place.work / 'site'}")


def try_vlm(place: Place) -> None:
    """Qwen3-VL's own processor and classes, tiny, on images."""
    from tests.helpers.tiny_models import save_tiny_qwen3_vl

    lend_torchvision_schemas(place)
    model = save_tiny_qwen3_vl(place.work / "tiny-qwen3-vl")
    place.run("python -c 'import num2words'")
    place.run(f"{BUILD} --source phantom:1 --out mis-ground")
    place.run(f"mis-ground eval mis-ground --model hf-multimodal --model_args pretrained={model} {TASKS}")


def try_train(place: Place) -> None:
    """A step of GRPO on the small model."""
    place.run(f"{BUILD} --source phantom:2 --split train --answer-types choice,box --out ground")
    place.run("python -m lm_eval_tasks.small_vlm.training.grpo ground trained --steps 1 --answer-type choice")


def try_test(place: Place) -> None:
    """A part of the tests of the checkout."""
    lend_torchvision_schemas(place)
    place.run(f"cd {ROOT} && python -m pytest -q -p no:cacheprovider {' '.join(TESTS)}")


TRIALS: dict[str, Callable[[Place], None]] = {
    BASE: try_base,
    "api": try_api,
    "demo": try_demo,
    "cluster": try_cluster,
    "remote": try_remote,
    "formats": try_formats,
    "dicom": try_dicom,
    "readers": try_readers,
    "docs": try_docs,
    "vlm": try_vlm,
    "train": try_train,
    "test": try_test,
}
"""Extra -> what it is tried with."""


def lend_torchvision_schemas(place: Place) -> None:
    """Where torchvision cannot load its compiled part beside this torch, what the test environment has for that."""
    check = 'python -c "import torchvision" 2>/dev/null || echo no'
    if "no" in place.run(check).split():
        packages = Path(place.run("python -c \"import sysconfig; print(sysconfig.get_path('purelib'))\"").strip())
        for path in (ROOT / "tests" / "environment").glob("torchvision_schemas.*"):
            shutil.copy(path, packages)
        print("  (torchvision's compiled part does not load beside this torch: its schemas are lent)")


# ------------------------------------------------------------------------------------------------------------ commands


def extras(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Install each extra alone and try it."""
    with temporary_folder() as dist:
        wheel = built_wheel(dist)
        for name in names:
            with temporary_folder() as folder:
                place = empty_place(folder, pip=name == BASE)
                asked = with_extra(wheel, () if name == BASE else (name,))
                # As users do; the others by uv, which takes a fifth of the time.
                install = PIP if name == BASE else f"{uv()} pip install --quiet --python {place.python}"
                place.run(f"{install} --constraint {CONSTRAINTS} '{asked}'")
                TRIALS[name](place)
                yield name, f"works; {size_of(place.environment)}"


def wheels(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """What pip has to build since the index has no wheel of it, and whether that takes a compiler.

    For an extra, with this Python; for another Python, with all extras.
    """
    with temporary_folder() as folder:
        place = empty_place(folder, pip=False)
        for name in names:
            option = "" if name == BASE else f"--extra {name}"
            python = f"--python {place.python}"
            if name in OTHER_PYTHONS:
                option, python = "--all-extras", f"--python-version {name.removeprefix('python')}"
            lock_file = f"pylock.{name.replace('.', '')}.toml"
            place.run(
                f"{uv()} pip compile --quiet {option} --constraint {CONSTRAINTS} {python} "
                f"--python-platform x86_64-manylinux_2_28 {ROOT / 'pyproject.toml'} --output-file {lock_file}"
            )
            lock = tomllib.loads((place.work / lock_file).read_text(encoding="utf-8"))
            sources = [f"{each['name']}=={each['version']}" for each in lock["packages"] if not each.get("wheels")]
            compiled = [source for source in sources if not is_pure_python(source)]
            if compiled:
                raise SystemExit(f"These need a compiler: {', '.join(compiled)}")
            pure = f", and {', '.join(sources)} in pure Python, which pip makes a wheel of itself" if sources else ""
            yield name, f"no compiler needed: {len(lock['packages']) - len(sources)} wheels{pure}"


@functools.cache
def is_pure_python(source: str) -> bool:
    """Whether pip makes a wheel for any platform of a package's source, without a compiler."""
    with temporary_folder() as folder:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), source]
        print(f"  $ {' '.join(command[1:])}", flush=True)
        no_compiler = {"CC": "/bin/false", "CXX": "/bin/false", "FC": "/bin/false"}
        done = subprocess.run(command, env=os.environ | no_compiler, capture_output=True, check=False)
        return not done.returncode and all("-none-any." in path.name for path in folder.iterdir())


def bounds(ends: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Install all extras at the lowest or newest versions and run a part of the tests."""
    # TRL's own bounds (datasets 4.7) would hide those of this package; `extras train` tries it.
    every = [name for name in EXTRAS if name not in ("test", "docs", "train")]
    (torch,) = re.findall(r"^torch==\S+", CONSTRAINTS.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for end in ends:
        with temporary_folder() as folder:
            place = empty_place(folder, pip=False)
            wheel, install = built_wheel(folder), f"{uv()} pip install --quiet --python {place.python}"
            if end == "lowest":
                lowest(place, wheel, every)
            else:
                # Constrained is torch alone: with its newest release come 3 GB of CUDA.
                place.run(f"{install} '{with_extra(wheel, every)}' '{torch}'")
            place.run(f"{install} pytest hypothesis")
            print(place.run(f"{uv()} pip list --format freeze --python {place.python}"))
            lend_torchvision_schemas(place)
            began = time.monotonic()
            try_base(place)
            place.run(f"cd {ROOT} && python -m pytest -q -p no:cacheprovider {' '.join(TESTS)}")
            yield end, f"works; tried for {time.monotonic() - began:.0f} s"


def lowest(place: Place, wheel: Path, extras: Sequence[str]) -> None:
    """Install the lowest version of each direct dependency that the others allow.

    Raises:
        SystemExit: if a bound is lower than what can be installed: it promises what nobody can have.
    """
    options = " ".join(f"--extra {name}" for name in extras)
    place.run(
        f"{uv()} pip compile --quiet --no-header --no-annotate --resolution lowest-direct {options} "
        f"--python {place.python} {ROOT / 'pyproject.toml'} --output-file lowest.txt"
    )
    pins = (place.work / "lowest.txt").read_text(encoding="utf-8")
    wrong = too_low(pins, extras)
    if wrong:
        raise SystemExit("These bounds are lower than what the other packages allow: " + "; ".join(wrong))
    place.run(f"{uv()} pip install --quiet --python {place.python} --requirement lowest.txt")
    place.run(f"{uv()} pip install --quiet --python {place.python} --no-deps {wheel}")


def too_low(pins: str, extras: Sequence[str]) -> list[str]:
    """Bounds of pyproject.toml that are below the lowest version that can be resolved."""
    from packaging.requirements import Requirement
    from packaging.version import Version

    found = {
        name.lower().replace("_", "-"): Version(version)
        for name, version in re.findall(r"^([\w.-]+)==(\S+)", pins, re.M)
    }
    lines = [*PROJECT["dependencies"], *(line for name in extras for line in PROJECT["optional-dependencies"][name])]
    wrong = []
    for requirement in map(Requirement, lines):
        resolved = found[requirement.name.lower().replace("_", "-")]
        for bound in requirement.specifier:
            if bound.operator == ">=" and resolved.release[:2] > (*Version(bound.version).release, 0)[:2]:
                wrong.append(f"{requirement} ({resolved} is the lowest)")
    return wrong


def size_of(folder: Path) -> str:
    """How much a folder takes on disk."""
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return f"{total / 1e9:.1f} GB"


COMMANDS = {
    "extras": (extras, (BASE, *EXTRAS)),
    "wheels": (wheels, (BASE, *EXTRAS, *OTHER_PYTHONS)),
    "bounds": (bounds, ("lowest", "newest")),
}


def main(arguments: Sequence[str]) -> None:
    """The command line; ends with a failure if anything failed."""
    command, known = COMMANDS.get(arguments[0] if arguments else "", (None, ()))
    wanted = tuple(arguments[1:]) or known
    if command is None or not set(wanted) <= set(known):
        raise SystemExit(__doc__)
    failed = []
    for name in wanted:
        print(f"== {name}", flush=True)
        try:
            for _, outcome in command([name]):
                print(f"{name}: {outcome}", flush=True)
        except SystemExit as error:
            failed.append(name)
            print(f"{name}: FAILED\n{error}", flush=True)
    if failed:
        raise SystemExit(f"Failed: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
