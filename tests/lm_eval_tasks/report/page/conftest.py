"""One report of three runs, and its page in a browser."""

import pytest

from lm_eval_tasks.report.runs import read_runs
from lm_eval_tasks.report.write import write_report
from tests.helpers.harness_files import write_run
from tests.helpers.report_page import EVERY, HOSTILE, ROWS, hashes, noisy, write_images


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    write_images(folder / "ground", EVERY)
    write_run(folder / "a", EVERY, noisy, images=hashes)
    write_run(
        folder / "b", EVERY, lambda each: each["answer"], model_args={"pretrained": f"x/{HOSTILE}"}, images=hashes
    )
    write_run(folder / "c", ROWS[:100], lambda each: each["options"][0], blind=True)
    return folder


@pytest.fixture(scope="session")
def places(folder):
    return [str(folder / "a"), f"other <i>={folder / 'b'}", str(folder / "c")]


@pytest.fixture(scope="session")
def report(folder, places):
    return write_report(places, folder / "report", folder / "ground")


@pytest.fixture(scope="session")
def reading(places):
    return read_runs(places)


@pytest.fixture(scope="session")
def page(folder, report):
    return folder / "report" / "index.html"


@pytest.fixture
def opened(browser, page):
    with browser.watched(page):
        yield browser
        assert {request.split("#")[0] for request in browser.requests} == {page.resolve().as_uri()}
