"""The demo on a quiet machine and beside busy processes, in one run: ``python -m tests.benchmarks.busy_demo``.

What waits by spinning burns processor time that it would not need on a quiet machine, and the busier the machine the
longer it waits. So besides the time on the clock, the processor time is printed: beside busy processes it should hardly
grow. Needs a machine on which nothing else runs; the load before the start is printed.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

MIS_GROUND = "from dataset_builder.cli.main import main; main()"


@contextmanager
def busy(count: int, own_sessions: bool) -> Iterator[None]:
    """So many processes that never wait.

    Args:
        count: of the processes.
        own_sessions: whether each is a job of its own for the scheduler, as one of another terminal is.
    """
    processes = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=own_sessions)
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def timed(command: Sequence[str]) -> dict[str, float]:
    """Seconds on the clock and of the processors that a command and its processes take.

    Raises:
        RuntimeError: if it fails.
    """
    start = perf_counter()
    with tempfile.TemporaryFile() as printed:
        process = subprocess.Popen(command, stdout=printed, stderr=printed)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            printed.seek(0)
            raise RuntimeError(printed.read().decode(errors="replace")[-3000:])
    return {"seconds": perf_counter() - start, "processor_seconds": used.ru_utime + used.ru_stime}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=2, help="busy processes")
    parser.add_argument("--own-sessions", action="store_true", help="each of them a job of its own for the scheduler")
    parser.add_argument(
        "command", nargs="*", help="of mis-ground, with {out} for a new folder; default: demo --out {out}"
    )
    options = parser.parse_args()
    given = options.command or ["demo", "--out", "{out}"]
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as temporary:

        def run(name: str) -> dict[str, float]:
            filled = [part.replace("{out}", str(Path(temporary, name))) for part in given]
            return timed([sys.executable, "-c", MIS_GROUND, *filled])

        run("first")  # fetches, and fills caches
        quiet = run("quiet")
        with busy(options.busy, options.own_sessions):
            beside = run("busy")
    ratios = {name: round(beside[name] / quiet[name], 2) for name in quiet}
    print(json.dumps({"load_before": load, "quiet": quiet, "beside_busy": beside, "ratio": ratios}, indent=1))


if __name__ == "__main__":
    main()
