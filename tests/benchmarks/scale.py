"""Processes and long lists: ``python tests/benchmarks/scale.py``. Prints Markdown tables.

The first table builds the same data set with more and more processes. On a machine that does other work its wall times
mean little; CPU times say what sharing the work costs. The second plans, resumes and reports a build of a made-up list
of subjects whose slices are all in the store, and shows what memory that takes.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

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


def fill(store: Path, count: int) -> None:
    """Put all subjects into the store: one phantom's slices under every name."""
    from dataset_builder.settings import Settings
    from dataset_builder.sources import open_source
    from dataset_builder.store import input_fingerprint, store_volume

    phantom = open_source("phantom:1")
    (body,) = phantom.cases()
    made = store_volume(phantom, body, Settings(), store)
    note = json.loads(made.path.with_suffix(".json").read_text())
    folder = store / Listed.name
    folder.mkdir()
    for number, case in enumerate(Listed(count).cases()):
        if number % 30_000 == 0:  # a file can have so many names only
            one = folder / f".{number}"
            one.write_bytes(made.path.read_bytes())
        os.link(one, folder / f"{case.subject}.parquet")
        of_case = {"source": Listed.name, "subject": case.subject, "fingerprint": input_fingerprint(case, Settings())}
        (folder / f"{case.subject}.json").write_text(json.dumps(note | of_case))


def resume(store: Path, count: int) -> None:
    """What a build does of the list before it asks questions; prints peak memory in KB and seconds."""
    from functools import partial

    from dataset_builder import builder
    from dataset_builder.describe import _sources
    from dataset_builder.engines import Processes
    from dataset_builder.settings import Settings
    from dataset_builder.store import volume_notes
    from dataset_builder.worker import store_case

    begun = time.monotonic()
    settings = Settings()
    read = partial(store_case, settings=settings, store=store, vocabulary=None, strict=True)
    volumes = builder._fill_store([Listed(count)], read, Processes(1), lambda *_: None, [])
    asked = list(builder._to_ask(volumes, settings))
    (source,) = _sources(volume_notes(volumes))
    assert source.volumes == len(asked) == count
    (peak,) = (line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line)
    print(json.dumps([int(peak), time.monotonic() - begun]))


def run_build(source: str, out: Path, num_proc: int) -> tuple[float, float]:
    """Wall and CPU time of a build by the command line."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-m", "dataset_builder.cli", "build", "--source", source, "--out", str(out)]
    subprocess.run([*command, "--num-proc", str(num_proc)], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.monotonic() - begun, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", default="phantom:16")
    parser.add_argument("--num-proc", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--subjects", type=int, nargs="*", default=[1_000, 10_000, 100_000])
    parser.add_argument("--resume", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.resume:
        resume(Path(given.resume[0]), int(given.resume[1]))
        return
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if given.num_proc:
            print("| processes | wall s | speed-up a process | CPU s | CPU of one to CPU of all |")
            print("| ---: | ---: | ---: | ---: | ---: |")
        times: dict[int, tuple[float, float]] = {}
        for count in given.num_proc:
            times[count] = wall, cpu = run_build(given.source, folder / f"ground_{count}", count)
            one = times[given.num_proc[0]]
            print(
                f"| {count} | {wall:.1f} | {one[0] / wall / count:.2f} | {cpu:.1f} | {one[1] / cpu:.2f} |", flush=True
            )
        print("\n| subjects | peak MB | s |\n| ---: | ---: | ---: |")
        for count in given.subjects:
            store = folder / f"store_{count}"
            fill(store, count)
            command = [sys.executable, __file__, "--resume", str(store), str(count)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            peak, seconds = json.loads(done.stdout)
            print(f"| {count:,} | {peak / 1024:.0f} | {seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main()
