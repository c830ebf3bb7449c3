"""Builds on disks that are full or may only be read. Run in a mount namespace of its own: ``unshare -rm python FILE``.

Prints what happened as JSON; ``test_full_disk.py`` says what should have.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from dataset_builder.building.builder import build
from dataset_builder.cli import main as cli
from dataset_builder.core.settings import Settings
from dataset_builder.sources import open_source
from dataset_builder.sources.phantoms import torso, write_nnunet
from tests.helpers.folders import contents

OPTIONS = ["--slices-per-volume", "2", "--questions-per-volume", "8", "--inputs", "slice", "--views", "plain"]
OPTIONS += ["--image-size", "96", "--answer-types", "choice"]
SETTINGS = Settings(
    slices_per_volume=2,
    questions_per_volume=8,
    inputs=("slice",),
    views=("plain",),
    image_size=96,
    answer_types=("choice",),
)


class Disk:
    """A small file system in memory."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        folder.mkdir()
        self._mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs")

    def _mount(self, *options: str) -> None:
        subprocess.run(["mount", *options, str(self.folder)], check=True, stdout=sys.stderr)

    def resize(self, size: int) -> None:
        self._mount("-o", f"remount,size={size}")

    def read_only(self) -> None:
        self._mount("-o", "remount,ro")

    @property
    def used(self) -> int:
        status = os.statvfs(self.folder)
        return (status.f_blocks - status.f_bfree) * status.f_bsize


def run(*arguments: object) -> dict[str, Any]:
    """The command line in this process: its exit status, and what it printed."""
    printed, errors = io.StringIO(), io.StringIO()
    sys.argv = ["mis-ground", "build", *map(str, arguments), *OPTIONS]
    status: object = 0
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
        try:
            cli.main()
        except SystemExit as end:
            status = end.code
    return {"status": status, "told": " ".join(errors.getvalue().split())}


def hidden(folder: Path) -> list[str]:
    """Files that were begun: their names begin with a dot."""
    return [str(path) for path in folder.rglob(".*") if path.is_file() and path.suffix != ".lock"]


def scenes(base: Path) -> Any:
    body = torso(1, spacing=12.0)
    write_nnunet(base / "scans", {f"case_{number}": body for number in range(3)})
    source = f"nnunet:{base / 'scans'}"
    roomy, used = Disk(base / "roomy", 64 << 20), {}

    def measure(stage: str, done: int, total: int) -> None:
        used[stage] = max(used.get(stage, 0), roomy.used)

    build([open_source(source)], roomy.folder / "ground", SETTINGS, store=roomy.folder / "slices", progress=measure)
    right = contents(roomy.folder / "ground")
    slices = used["volumes"]
    parts, merged = used["questions"] - slices, used["data set"] - used["questions"]
    yield "sizes", {"slices": slices, "parts": parts, "merged": merged}

    disk = Disk(base / "store", slices * 2 // 3)
    store = disk.folder / "slices"
    seen = run("--source", source, "--store", store, "--out", base / "one")
    finished = [note.with_suffix(".parquet").is_file() for note in store.rglob("*.json")]
    seen |= {"there": (base / "one").exists(), "finished": finished, "hidden": hidden(store)}
    disk.resize(64 << 20)
    seen["again"] = run("--source", source, "--store", store, "--out", base / "one")
    yield "store", seen | {"same": contents(base / "one") == right}

    disk = Disk(base / "out", 64 << 20)
    out = disk.folder / "ground"
    run("--store", store, "--out", out, "--seed", "1")
    older, old_size = contents(out), disk.used
    for name, room, processes in (("parts", parts // 2, 2), ("merge", parts + merged // 2, 1)):
        disk.resize(old_size + room)
        seen = run("--store", store, "--out", out, "--num-proc", processes)
        yield name, seen | {"untouched": contents(out) == older, "folders": sorted(os.listdir(disk.folder))}
    disk.read_only()
    seen = run("--store", store, "--out", out)
    yield "out read-only", seen | {"untouched": contents(out) == older}
    disk._mount("-o", f"remount,rw,size={64 << 20}")
    seen = run("--store", store, "--out", out)
    left = sorted(name for name in os.listdir(disk.folder) if not name.endswith(".lock"))
    yield "room again", seen | {"same": contents(out) == right, "older": older != right, "left": left}

    roomy.read_only()
    kept = roomy.folder / "slices"
    seen = run("--source", source, "--store", kept, "--out", base / "two", "--slices-per-volume", "3")
    yield "store read-only", seen | {"there": (base / "two").exists()}
    seen = run("--store", kept, "--out", base / "three")
    yield "from a read-only store", seen | {"same": contents(base / "three") == right}


if __name__ == "__main__":
    print(json.dumps(dict(scenes(Path(sys.argv[1]))), indent=1))
