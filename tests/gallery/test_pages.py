import pytest

from dataset_builder.core.errors import BuildError
from dataset_builder.gallery.pages import GENERATOR, make_page, write_page

TEMPLATE = '<html><head><meta charset="utf-8"><meta content="{{policy}}"></head><body>{{title}}</body></html>'


def test_a_page_replaces_a_page_of_ours_and_nothing_else(tmp_path):
    out = tmp_path / "page.html"
    write_page(out, make_page(TEMPLATE, {}, {"title": "one"}))
    write_page(out, make_page(TEMPLATE, {}, {"title": "two"}))
    assert "two" in out.read_text()
    assert GENERATOR in out.read_text()
    for text in ("<html>my own page</html>", f"{'x' * 5000}{GENERATOR}"):
        out.write_text(text)
        with pytest.raises(BuildError, match="not a page of MIS-Ground"):
            write_page(out, make_page(TEMPLATE, {}, {"title": "three"}))
        assert out.read_text() == text
    with pytest.raises(BuildError, match="is a folder"):
        write_page(tmp_path, "")
