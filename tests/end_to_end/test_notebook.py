"""The notebook runs from the first cell to the last, and is kept without outputs."""

import re
from copy import deepcopy
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "own-scans.ipynb"


@pytest.fixture(scope="module")
def stored():
    return nbformat.read(NOTEBOOK, as_version=4)


def test_it_is_kept_without_outputs(stored):
    nbformat.validate(stored)
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert not [cell for cell in code if cell.outputs or cell.execution_count is not None]
    assert set(stored.metadata) == {"kernelspec", "language_info"}


@pytest.mark.slow
def test_it_runs_from_scans_to_a_report(stored, tmp_path):
    ran = deepcopy(stored)
    NotebookClient(ran, timeout=None, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = [output for cell in ran.cells if cell.cell_type == "code" for output in cell.outputs]
    said = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "No check is violated." in said
    assert re.search(r"Answer: .+ \(by \d+ mm\)", said)
    assert [output for output in outputs if "image/png" in output.get("data", {})]
    assert (tmp_path / "own-scans" / "report" / "index.html").is_file()
