"""Processes and long lists: ``python tests/benchmarks/scale.py``. Prints Markdown tables.

The first table builds the same data set with more and more processes. On a machine that does other work its wall times
mean little; CPU times say what sharing the work costs. The second builds a made-up list of subjects whose slices are
all in the store and whose questions are ready: all else is the real build, which plans, resumes, puts the rows and
slices together and reports. It shows what memory that takes.
"""

import argparse
import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataset_builder.building.parts import Part

MIN_EFFICIENCY = 0.85
"""The bar: N processes are at least so many times N as fast."""


class Listed:
    """A made-up source: so many subjects, whose files are nowhere."""

    name, licence, citation, url = "listed", "CC0-1.0", "nobody", ""

    def __init__(self, count: int) -> None:
        self.count = count

    def cases(self) -> Iterator[object]:
        from dataset_builder.sources.base import Case

        folder = Path("/nowhere/listed")
        for number in range(self.count):
            subject = f"s{number:06d}"
            paths = (folder / subject / "ct.nii.gz", folder / subject / "segmentations")
            yield Case(self.name, subject, "ct", self.licence, paths)

    def read(self, case: object) -> object:
        raise AssertionError("every subject is in the store")


def a_few_voxels(store: Path) -> tuple[bytes, dict[str, object]]:
    """One small slice of a phantom as the store keeps it, and its note."""
    from dataset_builder.core.settings import Settings
    from dataset_builder.slices.selection import load_slices, save_slices
    from dataset_builder.slices.store import store_volume
    from dataset_builder.sources import open_source

    phantom = open_source("phantom:1")
    (body,) = phantom.cases()
    made = store_volume(phantom, body, Settings(), store)
    first = load_slices(made.path)[0]
    small = {"image": first.image[:8, :8], "labels": first.labels[:8, :8], "names": {1: "liver"}, "through_mm": {}}
    save_slices([dataclasses.replace(first, **small)], made.path)
    content, note = made.path.read_bytes(), json.loads(made.path.with_suffix(".json").read_text())
    shutil.rmtree(made.path.parent)
    return content, note


def fill(store: Path, count: int) -> None:
    """Put all subjects into the store: the same small slice under every name."""
    from dataset_builder.core.settings import Settings
    from dataset_builder.slices.store import input_fingerprint

    content, note = a_few_voxels(store)
    folder = store / Listed.name
    folder.mkdir()
    for number, case in enumerate(Listed(count).cases()):
        if number % 30_000 == 0:  # a file can have so many names only
            one = folder / f".{number}"
            one.write_bytes(content)
        os.link(one, folder / f"{case.subject}.parquet")
        of_case = {"source": Listed.name, "subject": case.subject, "fingerprint": input_fingerprint(case, Settings())}
        (folder / f"{case.subject}.json").write_text(json.dumps(note | of_case))


def ready_part(folder: Path) -> "Part":
    """A few rows of a phantom in two cells, small images."""
    from dataset_builder.building.worker import write_part
    from dataset_builder.core.settings import Settings
    from dataset_builder.slices.store import store_volume
    from dataset_builder.sources import open_source

    few: dict[str, Any] = {"inputs": ("slice",), "views": ("plain",), "prompts": ("box",), "planes": ("axial",)}
    settings = Settings(image_size=64, slices_per_volume=1, questions_per_volume=4, **few)
    phantom = open_source("phantom:1")
    (body,) = phantom.cases()
    part = write_part((0, store_volume(phantom, body, settings, folder / "store"), settings), None, folder)
    assert part is not None
    return part


def build_of_list(folder: Path, count: int) -> None:
    """A build of the list, whose questions are ready; prints memory after the imports, its peak in KB, and seconds."""
    from dataset_builder.building import builder
    from dataset_builder.building.parts import Part, part_path
    from dataset_builder.core.settings import Settings

    (folder / "ready").mkdir()
    ready = ready_part(folder / "ready")
    rows = part_path(folder / "ready", ready.number).read_bytes()

    def instead_of_questions(item: tuple[int, Any, Any], folder: Path, **_: object) -> Part:
        of = folder / f".ready{item[0] // 30_000}"
        if not of.exists():
            of.write_bytes(rows)
        os.link(of, part_path(folder, item[0]))
        return dataclasses.replace(ready, number=item[0])

    builder.write_part = instead_of_questions
    begun, before = time.process_time(), memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    summary = builder.build([Listed(count)], folder / "out", Settings(), store=folder / "store")
    assert summary.volumes == count
    assert summary.total_rows == count * sum(ready.rows)
    print(json.dumps([before, memory("VmHWM"), time.process_time() - begun]))


def memory(kind: str) -> int:
    """Of this process in KB; not by getrusage, which counts what the process was before it became this program."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if kind in line)
    return int(line.split()[1])


def run_build(source: str, out: Path, num_proc: int) -> tuple[float, float]:
    """Wall and CPU time of a build by the command line."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "dataset_builder.cli.main", "build", "--source", source, "--out", str(out)]
    subprocess.run([*command, "--num-proc", str(num_proc)], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - begun, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="phantom:16")
    parser.add_argument("--num-proc", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--subjects", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--list", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.list:
        build_of_list(Path(given.list[0]), int(given.list[1]))
        return
    with TemporaryDirectory() as temporary:
        if given.num_proc:
            processes(given.source, given.num_proc, Path(temporary))
        if given.subjects:
            long_lists(given.subjects, Path(temporary))


def processes(source: str, counts: Sequence[int], folder: Path) -> None:
    """The first table."""
    print("| processes | wall s | speed-up a process | CPU s | CPU of one to CPU of all |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    times: dict[int, tuple[float, float]] = {}
    for count in counts:
        times[count] = wall, cpu = run_build(source, folder / f"ground_{count}", count)
        one = times[counts[0]]
        print(f"| {count} | {wall:.1f} | {one[0] / wall / count:.2f} | {cpu:.1f} | {one[1] / cpu:.2f} |", flush=True)


def long_lists(counts: Sequence[int], folder: Path) -> None:
    """The second table."""
    print("\n| subjects | after the imports MB | peak MB | bytes a subject more than the line before | CPU s |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    before: tuple[int, int] | None = None
    for count in counts:
        own = folder / f"list_{count}"
        fill(own / "store", count)
        command = [sys.executable, __file__, "--list", str(own), str(count)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        imported, peak, seconds = json.loads(done.stdout)
        more = f"{(peak - before[1]) * 1024 / (count - before[0]):.0f}" if before else ""
        print(f"| {count:,} | {imported / 1024:.0f} | {peak / 1024:.0f} | {more} | {seconds:.0f} |", flush=True)
        before = count, peak
        shutil.rmtree(own)


if __name__ == "__main__":
    main()
