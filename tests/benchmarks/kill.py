"""Kills a build at random moments with kill -9 and goes on: ``python tests/benchmarks/kill.py``.

Each build is a process group of its own. After the kill the same build is run again to its end, and the data set is
compared byte by byte with that of a build that nobody disturbed. Exit status 1 if one differs or leaves something
behind. Needs Linux (it forks a process that has imported everything, so that most kills hit the work itself).
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

# Imported where it is used: worker processes read this file again.
SETTINGS = {
    "slices_per_volume": 2,
    "questions_per_volume": 12,
    "stack_size": 4,
    "stack_questions_per_volume": 4,
    "image_size": 96,
}


def contents(folder: Path) -> dict[str, str]:
    """Path and sha256 of every file."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def start(out: Path, volumes: int, num_proc: int, stage: Path) -> int:
    """Begin a build in a process group of its own; the stage that it is at is written into a file."""
    from dataset_builder.building.builder import build
    from dataset_builder.core.settings import Settings
    from dataset_builder.sources import open_source

    child = os.fork()
    if child:
        return child
    os.setsid()
    try:
        handle = os.open(stage, os.O_WRONLY | os.O_CREAT)

        def progress(name: str, done: int, total: int) -> None:
            os.pwrite(handle, f"{name} {done}/{total}".ljust(40).encode(), 0)

        settings = Settings(**SETTINGS)
        build([open_source(f"phantom:{volumes}")], out, settings, num_proc=num_proc, progress=progress)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def finish(out: Path, volumes: int, num_proc: int, stage: Path) -> float:
    """Run a build to its end; the time that it took."""
    begun = time.monotonic()
    _, status = os.waitpid(start(out, volumes, num_proc, stage), 0)
    if status:
        raise SystemExit(f"The build failed: status {status}")
    return time.monotonic() - begun


def main() -> int:
    """Print what the kills hit, and whether all came out the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--volumes", type=int, default=3)
    parser.add_argument("--num-proc", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    draw, hit, wrong = random.Random(given.seed), Counter(), []
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        takes = finish(folder / "unbroken", given.volumes, given.num_proc, folder / "stage")
        expected = contents(folder / "unbroken")
        print(f"An unbroken build of {given.volumes} volumes takes {takes:.1f} s and makes {len(expected)} files.")
        number = late = 0
        while number < given.kills:
            place = folder / f"kill_{number:03d}"
            place.mkdir()
            out, stage = place / "ground", place / "stage"
            child = start(out, given.volumes, given.num_proc, stage)
            after = draw.uniform(0, takes)
            time.sleep(after)
            try:
                os.killpg(child, signal.SIGKILL)
            except ProcessLookupError:
                os.kill(child, signal.SIGKILL)  # before it had a group of its own
            _, status = os.waitpid(child, 0)
            if not status:  # it had ended: the machine does less beside it than when its time was taken
                late += 1
                takes = after
                shutil.rmtree(place)
                continue
            at = stage.read_text().split() if stage.exists() else []
            stage.unlink(missing_ok=True)
            hit[" ".join(at[:-1]) or "start"] += 1
            finish(out, given.volumes, given.num_proc, stage)
            stage.unlink()
            left = {path.name for path in place.iterdir()} - {"ground", ".ground.lock"}
            if contents(out) != expected or left:
                wrong.append(number)
            number += 1
    hits = ", ".join(f"{name} {count}" for name, count in hit.items())
    print(f"{given.kills} kills, by the last stage told: {hits}; {late} more came too late.")
    print(f"{given.kills - len(wrong)} went on to the same bytes" + (f"; not: {wrong}" if wrong else "."))
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
