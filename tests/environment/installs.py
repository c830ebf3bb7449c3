"""Installs the wheel into empty environments and tries it there: with each extra, and at both ends of its bounds.

    python -m tests.environment.installs extras [EXTRA ...]      each extra alone; none of them (base), by pip
    python -m tests.environment.installs wheels [EXTRA ...]      what has no wheel, and whether it needs a compiler;
                                                                 for other Pythons, too (python3.12 ...)
    python -m tests.environment.installs bounds [lowest|newest]  most extras, at their lowest and newest versions

`make test-extras` and `make test-bounds` run it, with the test environment's Python. Each environment is made in a
temporary folder (MIS_GROUND_INSTALLS, if that is set) and deleted after its trial; the largest takes about 8 GB.
"""

import functools
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.environment.install_trials import BASE, TESTS, TRIALS, lend_torchvision_schemas, try_base
from tests.environment.places import CONSTRAINTS, PIP, ROOT, Place, empty_place, temporary_folder, uv

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = tuple(PROJECT["optional-dependencies"])

OTHER_PYTHONS = ("python3.12", "python3.13")
"""For which constraints.txt is resolved, too. 3.12 is that of the Dockerfile's CUDA base."""


def built_wheel(folder: Path) -> Path:
    """The wheel of this checkout."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def with_extra(wheel: Path, extras: Sequence[str]) -> str:
    """What pip is asked for."""
    return f"{wheel}[{','.join(extras)}]" if extras else str(wheel)


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
