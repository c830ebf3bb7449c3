"""Writing a data set's questions for another harness: what the command ``mis-ground export`` does."""

import importlib.metadata
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import jinja2

from dataset_builder.core.errors import MISGroundError
from dataset_builder.core.version import package_version
from dataset_builder.dataset.licences import licence
from dataset_builder.files.own_files import foreign_files, remove_own_files, some_of, write_list
from lm_eval_tasks.export import to_inspect, to_lmms_eval, to_vlmevalkit
from lm_eval_tasks.export.benchmark import Benchmark
from lm_eval_tasks.mis_ground.rows import find_dataset
from lm_eval_tasks.mis_ground.settings import ON_THE_HUB, RunSettings, RunSettingsError

Harness = Literal["inspect", "lmms-eval", "vlmevalkit"]
HARNESSES: tuple[Harness, ...] = get_args(Harness)

FILES = Path(__file__).with_name("files")
"""A folder a harness with the files that are written: a name that ends with ``.jinja`` is filled in."""

MAKERS: Mapping[Harness, Callable[[Benchmark, Path, Mapping[str, Any]], dict[str, Any]]] = {
    "inspect": to_inspect.make,
    "lmms-eval": to_lmms_eval.make,
    "vlmevalkit": to_vlmevalkit.make,
}
"""Each writes the files that depend on the data set, and returns what the templates state beside `common_facts`."""


def export(dataset: str, harness: Harness, out: Path, settings: Mapping[str, Any]) -> Benchmark:
    """Write the files of a harness.

    Args:
        dataset: folder, or name on the Hub, of the data set.
        harness: which.
        out: folder to write; an export that is there is replaced, anything else is refused.
        settings: as ``--metadata`` takes them.

    Raises:
        MISGroundError: if the data set, a setting or the folder cannot be used.
    """
    benchmark = opened(dataset, settings)
    check_target(out)
    common = common_facts(benchmark)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        made = Path(temporary) / "export"
        made.mkdir()
        fill_in(FILES / harness, made, common | MAKERS[harness](benchmark, made, common))
        write_list(made)
        check_target(out)
        if out.is_dir() and not remove_own_files(out):
            out.rmdir()  # was empty
        made.rename(out)
    return benchmark


def check_target(out: Path) -> None:
    """Whether the folder may be replaced: it is not there, is empty, or holds an export and nothing else.

    Raises:
        MISGroundError: names what else it holds.
    """
    if not out.exists() and not out.is_symlink():
        return
    foreign = [*foreign_files(out)] if out.is_dir() and not out.is_symlink() else ["no folder, or a link"]
    if foreign:
        raise MISGroundError(
            "The folder contains what an export did not write; it is left unchanged.",
            file=out,
            value=some_of(foreign),
            remedy="Move these files away, or choose another --out.",
        )


def opened(dataset: str, settings: Mapping[str, Any]) -> Benchmark:
    """The data set with its settings."""
    try:
        benchmark = Benchmark(find_dataset(dataset), RunSettings.from_metadata(settings))
        if not benchmark.tasks:
            raise MISGroundError("The data set has no questions.", file=dataset)
    except RunSettingsError as error:
        raise MISGroundError(str(error)) from error
    except FileNotFoundError as error:
        raise MISGroundError(
            "There is no data set that can be read.", file=dataset, remedy="'mis-ground build' makes one."
        ) from error
    return benchmark


def common_facts(benchmark: Benchmark) -> dict[str, Any]:
    """What the files of every harness may state."""
    on_hub = not Path(benchmark.place).is_dir()
    named = ON_THE_HUB.fullmatch(benchmark.place) if on_hub else None
    place, revision, config = named.groups() if named else (benchmark.place, None, None)
    return {
        "benchmark": benchmark,
        "settings": benchmark.settings_text(),
        "place": place,
        "revision": revision,
        "config": config,
        "on_hub": on_hub,
        "dataset": f"`{benchmark.place}`" if on_hub else "a data set of one's own",
        "version": benchmark.rows.version or "not stated",
        "licences": ", ".join(licence(name).name for name in benchmark.licences) or "not stated",
        "package": package_version(),
        "licence_text": licence_text(),
    }


def fill_in(source: Path, target: Path, facts: Mapping[str, Any]) -> None:
    """Copy a folder of templates, filled in; formatting rules of this repository stay here."""
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, keep_trailing_newline=True, autoescape=False)
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source)
        if (
            path.is_dir()
            or path.name == "ruff.toml"
            or any(part.startswith((".", "__pycache__")) for part in name.parts)
        ):
            continue
        to = target / name
        to.parent.mkdir(parents=True, exist_ok=True)
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".jinja":
            to, text = to.with_suffix(""), environment.from_string(text).render(facts)
        to.write_text(text, encoding="utf-8")


def licence_text() -> str:
    """The text of this package's licence."""
    root = Path(__file__).parents[2] / "LICENSE"
    if root.is_file():
        return root.read_text(encoding="utf-8")
    for file in importlib.metadata.files("mis-ground") or ():
        if file.name == "LICENSE":
            return Path(str(file.locate())).read_text(encoding="utf-8")
    return "Apache License, Version 2.0: https://www.apache.org/licenses/LICENSE-2.0\n"


def next_steps(harness: Harness, folder: Path) -> list[str]:
    """The command that runs an export."""
    commands: dict[Harness, str] = {
        # Inspect takes no absolute path.
        "inspect": f"inspect eval {os.path.relpath(folder)}/mis_ground/mis_ground.py@mis_ground --model MODEL",
        "lmms-eval": f"python -m lmms_eval --include_path {folder} --tasks mis_ground --model MODEL",
        "vlmevalkit": f"python {folder}/run_mis_ground.py VLMEVALKIT --data MISGround --model MODEL",
    }
    readme = folder / ("README.md" if harness == "vlmevalkit" else "mis_ground/README.md")
    return [f"Next: {commands[harness]}", f"How, and what to mind: {readme}"]
