"""Every command and program that README.md and docs/ show is run: in order, in one folder, on small data and models.

Blocks in ``bash`` and ``python`` are read from the files, so that a new one is run from the day on which it is written.
Blocks build on those before them (one builds the data set that the next ones read), as they do for a reader: first the
README, then the pages in the order of mkdocs.yml, then pages that it does not list. What ran once is not run again.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.loopback_hub import LoopbackHub
from tests.helpers.readme import RUN, Block, blocks, filled_in, hidden_commands, pages_in_reading_order
from tests.helpers.tiny_models import save_tiny_llama, save_tiny_qwen3_vl

WARM = Path(__file__).parents[1] / "helpers" / "warm_python.py"
ROOT = Path(__file__).parents[2]
PAGES = pages_in_reading_order(ROOT)
BLOCKS = [block for page in PAGES for block in blocks(page)]

NOT_RUN = {
    "git clone ": "needs the address of the repository, which a checkout does not know",
    "pip install .": "is what made this test's environment: the wheel is installed into it",
    "make demo": "takes minutes; tests/lm_eval_tasks/test_demo.py runs its command, `mis-ground demo`, at a small size",
    "make test": "is what runs this test",
    "mis-ground report results answers-reader1": "needs what a person exports; tests/readers/test_report.py reports it",
    "mis-ground build --source sample --out mis-ground-curated": "needs one; tests/building/test_exclusions.py",
    "make test-export": "makes environments for minutes; tests/lm_eval_tasks/export/ tries the files, it runs them",
    "mis-ground report results/ --judge": "asks a large model; tests/lm_eval_tasks/report/test_judge.py asks stand-ins",
    "mis-ground study plan.yaml": "answers for minutes; tests/lm_eval_tasks/study/ runs studies of tiny models",
    "vllm serve ": "needs GPUs; tests/vllm_engine/ (make test-vllm) runs the processor in vLLM on a CPU",
    **dict.fromkeys(
        [f"mis-ground eval mis-ground --model {kind}-chat-completions" for kind in ("local", "openai", "azure-openai")],
        "needs a server; tests/lm_eval_tasks/running/test_models_page.py runs it against one on loopback",
    ),
    "mis-ground eval mis-ground --model vllm-vlm": "needs vLLM; tests/vllm_engine/ (make test-vllm) asks it on a CPU",
    "python -m lm_eval_tasks.small_vlm.training.grpo": "needs TRL; tests/training/ (make test-training) runs it",
    "lm_eval --model vllm": "needs GPUs; tests/vllm_engine/test_lm_eval.py (make test-vllm) runs it on a CPU",
}
"""Beginnings of the commands that the pages show and this test does not run, and why."""

SMALLER = [
    (r"--slices-per-volume \d+", "--slices-per-volume 3"),
    (r"--questions-per-volume (?:\d+|all)", "--questions-per-volume 126"),
    (r"(mis-ground build [^\n]*)", r"\1 --image-size 128"),  # at 64 structures fall between pixels
    (r"--limit \d+", "--limit 1"),
    (r"--items \d+", "--items 12"),
    (r"(--model mis-semsam [^\n]*--tasks )\S+", r"\1'mis_ground_*_directional_box'"),
    (r"(--tasks )\S+( --limit \d+ --resume)", r"\1'mis_ground_*_directional_box'\2"),
    # test_harness.py runs them all; a dry run asks nothing
    (r"^(?!.*--dry-run)(.*)'mis_ground_\*'", r"\1'mis_ground_ct_axial_*'"),
    (r"((?:lm_eval|mis-ground eval) [^\n]*)", r"\1 --gen_kwargs max_gen_toks=2"),
]
"""What keeps it fast: few questions (two of each cell), small images, answers of two tokens."""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """The reader's folder."""
    return tmp_path_factory.mktemp("reader")


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory) -> dict[str, str]:
    """What stands for the reader's own models and scans."""
    from dataset_builder.sources.phantoms import torso
    from dataset_builder.sources.phantoms.files import write_nnunet
    from tests.helpers.dicom_files import write_study

    folder = tmp_path_factory.mktemp("stand-ins")
    scans = folder / "scans"
    body = torso(1, "ct", spacing=(6.0, 6.0, 6.0))
    write_nnunet(scans, {"case_1": body})
    write_study(folder / "pacs", body.image, body.labels, body.names, body.affine)
    text, vision = save_tiny_llama(folder / "text-model"), save_tiny_qwen3_vl(folder / "vision-model")
    return {
        "nnunet:DIR": f"nnunet:{scans}",
        "dicom:DIR": f"dicom:{folder / 'pacs'}",
        "VLM": str(vision),
        "LM": str(text),
        "MODEL": str(text),
        "USER": "me",
    }


@pytest.fixture(scope="module")
def hub() -> Iterator[LoopbackHub]:
    """The Hub that `mis-ground push` reaches, on this machine."""
    with LoopbackHub() as one:
        yield one


PROGRAMS = {
    "lm_eval": ["-m", "lm_eval"],
    "mis-ground": ["-c", "from dataset_builder.cli.main import main; main()"],
    "python": [],
}
"""What the reader's commands are to Python."""


@pytest.fixture(scope="module")
def environment(slim_python, sample_folder, tmp_path_factory) -> Iterator[dict[str, str]]:
    """The reader's: the installed wheel, its commands first in the path.

    They run in forks of one Python, but for those that speak to the Hub, whose address is read at import.
    """
    programs, server = tmp_path_factory.mktemp("bin"), tmp_path_factory.mktemp("warm") / "socket"
    for name, beginning in PROGRAMS.items():
        cold = shlex.join([str(slim_python), *beginning])
        warm = shlex.join([str(slim_python), "-S", str(WARM), str(server), *beginning])
        (programs / name).write_text(f'#!/bin/sh\n[ -n "$HF_ENDPOINT" ] && exec {cold} "$@"\nexec {warm} "$@"\n')
        (programs / name).chmod(0o755)
    path = os.pathsep.join(map(str, (programs, slim_python.parent, Path(sys.executable).parent, os.environ["PATH"])))
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = inherited | {"PATH": path, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen([slim_python, WARM, server], env=found, stdin=subprocess.PIPE) as serving:
        while not server.exists():
            assert serving.poll() is None
            time.sleep(0.1)
        yield found
        serving.communicate()


def to_run(block: Block, stand_ins: dict[str, str], done: set[str]) -> str:
    """The program, or the commands of a block that have not run yet, filled in; ``done`` is added to."""
    if block.language == "python":
        return filled_in("\n".join(block.lines), stand_ins, [])
    shown = [command for command in block.commands() if not command.startswith(tuple(NOT_RUN))]
    new = [command for command in (filled_in(one, stand_ins, SMALLER) for one in shown) if command not in done]
    done.update(new)
    return "\n".join(new)


def run(block: Block, shown: str, place, environment, hub):
    given = ["python", "-c", shown] if block.language == "python" else ["bash", "-euxo", "pipefail", "-c", shown]
    online = hub.environment() if "mis-ground push" in shown else {}
    done = subprocess.run(given, env=environment | online, cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{block.name}: {shown}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    assert "Traceback" not in done.stderr
    for written in re.findall(r"--(?:out|output_path|store) (\S+)", shown):
        target = place / written
        assert target.is_file() or any(target.iterdir()), f"{written} is empty"


def run_all(every, place, stand_ins, environment, hub):
    """One test for all blocks: spread over workers, none would find what the one before it made."""
    done: set[str] = set()
    for block in every:
        if block.language in RUN and (shown := to_run(block, stand_ins, done)):
            run(block, shown, place, environment, hub)


def test_what_the_readme_shows_runs(place, stand_ins, environment, hub):
    run_all(blocks(ROOT / "README.md"), place, stand_ins, environment, hub)


@pytest.mark.slow
def test_what_all_pages_show_runs(tmp_path, stand_ins, environment, hub):
    run_all(BLOCKS, tmp_path, stand_ins, environment, hub)


def test_no_command_is_excused_that_is_not_shown():
    shown = [command for block in BLOCKS if block.language == "bash" for command in block.commands()]
    assert all(any(command.startswith(beginning) for command in shown) for beginning in NOT_RUN)


def test_no_command_hides_in_a_block_that_is_not_run():
    assert not [line for block in BLOCKS if block.language not in RUN for line in hidden_commands(block)]


MARKDOWN = """\
Text with `mis-ground inline`.

```bash
mis-ground build --source nnunet:DIR \\
  --out there  # a comment
# another comment
lm_eval --model_args pretrained=VLM,dtype=float32 --limit 10
```
~~~python
print("```")
~~~
```
tests/   make test runs these
$ mis-ground report
```
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "README.md"
    path.write_text(text)
    return path


def test_blocks_are_read_as_they_are_shown(tmp_path):
    bash, python, shown = blocks(written(tmp_path, MARKDOWN))
    assert bash.commands() == [
        "mis-ground build --source nnunet:DIR --out there",
        "lm_eval --model_args pretrained=VLM,dtype=float32 --limit 10",
    ]
    assert (bash.name, bash.language, python.lines) == ("README.md:3", "bash", ('print("```")',))
    assert hidden_commands(shown) == ["$ mis-ground report"]


@pytest.mark.parametrize("text", ["```sh\nmis-ground demo\n```\n", "```bash\nmis-ground demo\n"])
def test_a_block_that_would_be_passed_over_is_refused(tmp_path, text):
    with pytest.raises(ValueError, match=r"README\.md:1"):
        blocks(written(tmp_path, text))


def test_what_is_left_open_is_filled_in():
    given = {"nnunet:DIR": "nnunet:/scans", "VLM": "/vlm", "LM": "/lm"}
    assert filled_in("a pretrained=VLM,x nnunet:DIR --limit 10", given, [(r"--limit \d+", "--limit 1")]) == (
        "a pretrained=/vlm,x nnunet:/scans --limit 1"
    )
    assert filled_in("LM LLM", {"LM": "/lm"}, []) == "/lm LLM"
    for text in ("mis-ground build --source totalsegmentator:DIR", "pretrained=MODEL"):
        with pytest.raises(ValueError, match="no stand-in"):
            filled_in(text, given, [])


def test_pages_are_read_as_a_reader_would(tmp_path):
    (tmp_path / "docs").mkdir()
    for name in ("README.md", "CONTRIBUTING.md", "docs/a.md", "docs/b.md", "docs/c.md"):
        (tmp_path / name).write_text("")
    (tmp_path / "mkdocs.yml").write_text("nav:\n  - Data: [c.md]\n  - a.md\n")
    names = [page.relative_to(tmp_path).as_posix() for page in pages_in_reading_order(tmp_path)]
    assert names == ["README.md", "docs/c.md", "docs/a.md", "docs/b.md", "CONTRIBUTING.md"]
