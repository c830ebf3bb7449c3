"""Reads damaged files by the hundred thousand: ``python tests/benchmarks/fuzz.py``. Exit status 1 if one did harm.

Sound NIfTI files, masks and archives are changed at random (bits, numbers, pieces cut, doubled or swapped, before or
after compression) and read as the build reads them. Every input must give a volume or an error of a case or a source:
nothing else may be raised, nothing may take long, and no memory beyond a stated bound may be asked for.
"""

import argparse
import logging
import multiprocessing
import os
import random
import resource
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).parents[2]))

from dataset_builder.core.errors import CaseError, FetchError, SourceError
from tests.benchmarks.fuzz_targets import targets

MAX_SECONDS = 5.0
"""Of the processor's time for one input, which does not depend on what else the machine does."""
MAX_HANG = 120
"""Seconds after which a process that says nothing is ended."""
MAX_BYTES = 256 << 20
"""By so much the process's largest memory may grow with one input; the sound files hold less than a kilobyte of voxels,
and a small file can promise no more than 1100 bytes a byte."""

Result = tuple[int, str, str, list[str]]
"""Number of an input, what was fuzzed, what came out, and the harm that was done."""


def each(count: int, seed: int, only: str = "", first: int = 0) -> Iterator[Result]:
    """Read changed files, one after the other.

    Args:
        count, seed: how many, and which; the same number is the same input.
        only: only what has this in its name.
        first: number of the first.
    """
    with TemporaryDirectory() as temporary, TemporaryDirectory() as private:
        folder = Path(temporary)
        own = patch.dict(os.environ, MIS_GROUND_PSEUDONYMS=f"{private}/pseudonyms.json")  # not in the user's
        own.start()
        made = {name: target for name, target in targets(folder).items() if only in name}
        as_sound: dict[str, object] = {}
        known = {path.name for path in folder.iterdir()} | _KNOWN
        for number in range(first, count):
            name = list(made)[number % len(made)]
            sound, change, read = made[name]
            if name not in as_sound:
                as_sound[name] = read(folder / "fuzzed", sound)
            draw = random.Random(f"{seed} {number}")
            data = change(sound, draw)
            harm = []
            held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            begun = time.process_time()
            try:
                outcome = "read" if read(folder / "fuzzed", data) == as_sound[name] else "read, other values"
            except (CaseError, SourceError, FetchError) as error:
                outcome = getattr(error, "reason", type(error).__name__)
                if not error.problem or not error.remedy:
                    harm.append(f"an error without a problem or a remedy: {error}")
            except Exception as error:
                outcome = f"HARM {type(error).__name__}"
                harm.append(f"{type(error).__name__}: {error}")
            taken = time.process_time() - begun
            peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held) * 1024
            if taken > MAX_SECONDS:
                harm.append(f"{taken:.1f} s")
            if peak > MAX_BYTES:
                harm.append(f"{peak / 1e6:.0f} MB")
            if outside := {path.name for path in folder.iterdir()} - known:
                known |= outside
                harm.append(f"written outside of its folder: {sorted(outside)}")
            yield number, name, outcome, [f"{name} {number}: {said}" for said in harm]
        own.stop()


def _send_each(sent: Any, *given: Any) -> None:
    """What the process of its own does."""
    logging.disable(logging.CRITICAL)  # nibabel tells of every header that it mends
    warnings.simplefilter("ignore")
    for result in each(*given):
        sent.send(result)
    sent.send(None)


def each_apart(count: int, seed: int, only: str = "", first: int = 0) -> Iterator[Result]:
    """The same in a process of its own: one that hangs or ends is replaced, and the input to blame is named."""
    while first < count:
        received, sent = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(target=_send_each, args=(sent, count, seed, only, first), daemon=True)
        process.start()
        sent.close()
        said = "the process was ended"
        while True:
            try:
                if not received.poll(MAX_HANG):
                    said = f"more than {MAX_HANG} s"
                    break
                result = received.recv()
            except EOFError:
                break
            if result is None:
                first = count
                break
            first = result[0] + 1
            yield result
        process.kill()
        process.join()
        if first < count:
            yield first, "?", "HARM", [f"? {first}: {said}"]
            first += 1


def fuzz(
    count: int,
    seed: int,
    reported: Callable[[str], None] = lambda _: None,
    only: str = "",
    run: Callable[..., Iterator[Result]] = each,
) -> tuple[dict[str, Counter], list[str]]:
    """Read changed files.

    Returns:
        What came out, by target and kind of outcome, and the inputs that did harm (with the number that makes them).
    """
    outcomes: dict[str, Counter] = {}
    harm: list[str] = []
    for number, name, outcome, done in run(count, seed, only):
        outcomes.setdefault(name, Counter())[outcome] += 1
        harm += done
        if done or number % 5000 == 4999:
            reported("\n".join([f"{number + 1:,} inputs, {len(harm)} did harm", *done]))
    return outcomes, harm


_KNOWN = {
    *(
        "fuzzed.nii",
        "fuzzed.nii.gz",
        "fuzzed.mgz",
        "archives",
        "b.zip",
        "unpacked",
    )
}


def main() -> int:
    """Print a table of outcomes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="only what has this in its name, such as DICOM")
    given = parser.parse_args()
    with suppress(KeyboardInterrupt):
        said = partial(print, file=sys.stderr, flush=True)
        outcomes, harm = fuzz(given.count, given.seed, said, given.only, each_apart)
        print("| what | inputs | outcomes |\n| --- | ---: | --- |")
        for name, counts in outcomes.items():
            reported = ", ".join(f"{outcome} {count:,}" for outcome, count in counts.most_common())
            print(f"| {name} | {counts.total():,} | {reported} |")
        print(f"\n{given.count:,} inputs, {len(harm)} did harm.")
        print("\n".join(harm[:20]))
        return 1 if harm else 0
    return 130


if __name__ == "__main__":
    raise SystemExit(main())
