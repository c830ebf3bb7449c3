"""CPU time of loading all MIS-Ground leaves beyond that of one: ``python tests/benchmarks/load_tasks.py [DATASET]``.

Each measurement is a process of its own, as each run of the harness is: import, index, data set, task objects.
DATASET is a built data set; without it a small one is written. The bar: all leaves within 10 s of CPU beyond one leaf.
"""

import argparse
import resource
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parents[2]))

from lm_eval_tasks.running.evaluate import TASKS
from tests.helpers.tiny_dataset import write_dataset

BAR_S = 10.0
ONE, ALL = "mis_ground_ct_axial_directional_box", "mis_ground_*"
LOAD = """
import sys
from lm_eval.tasks import TaskManager
manager = TaskManager(include_path=sys.argv[1], include_defaults=False, metadata={"dataset": sys.argv[2]})
print(len(manager.load(manager.match_tasks([sys.argv[3]]))["tasks"]))
"""


def cpu_seconds(dataset: Path, pattern: str) -> tuple[float, int]:
    """User and system time of a process that loads the tasks of a pattern, and their number."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", LOAD, str(TASKS), str(dataset), pattern]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return spent, int(done.stdout.split()[-1])


def main() -> int:
    """Print the figures; exit status 1 if the bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", nargs="?", type=Path, help="a built data set; a small one is written if not given")
    parser.add_argument("--repeats", type=int, default=3, help="the least time of so many counts")
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        dataset = arguments.dataset or write_dataset(Path(folder) / "ground")
        cpu_seconds(dataset, ONE)  # fills the caches of datasets and of the disk
        runs = {pattern: [cpu_seconds(dataset, pattern) for _ in range(arguments.repeats)] for pattern in (ONE, ALL)}
    least = {pattern: min(spent for spent, _ in measured) for pattern, measured in runs.items()}
    for pattern, measured in runs.items():
        print(f"{measured[0][1]:4d} leaves  {least[pattern]:6.2f} s CPU  {pattern}")
    beyond = least[ALL] - least[ONE]
    print(f"beyond one leaf: {beyond:.2f} s CPU (bar: {BAR_S:.0f} s)")
    return 0 if beyond <= BAR_S else 1


if __name__ == "__main__":
    raise SystemExit(main())
