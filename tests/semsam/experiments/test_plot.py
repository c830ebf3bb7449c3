import xml.etree.ElementTree as ElementTree

import pytest

from semsam.experiments.plot import Point, line_plot

NAMESPACE = "{http://www.w3.org/2000/svg}"
LINES = {
    "M 50": [Point(16, 60, 55, 65), Point(1, 50, 50, 50), Point(4, 52, 48, 56)],
    "M 5 & <less>": [Point(1, 50, 50, 50), Point(4, 40, 31, 49), Point(16, 45, 37, 53)],
}


def drawn(lines, level=("plain", 50.0)) -> ElementTree.Element:
    return ElementTree.fromstring(line_plot(lines, "K", "acc, %", level))


def texts(image) -> list[str]:
    return [element.text for element in image.iter(f"{NAMESPACE}text")]


def height_of(image, value: float) -> float:
    """Where a value lies, read off two labelled ticks of the vertical axis."""
    ticks = [e for e in image.iter(f"{NAMESPACE}text") if e.get("text-anchor") == "end"]
    (low, high) = [(float(e.text), float(e.get("y")) - 4) for e in (ticks[0], ticks[-1])]
    return low[1] + (value - low[0]) * (high[1] - low[1]) / (high[0] - low[0])


def test_each_line_goes_through_its_points_in_order_of_x():
    image = drawn(LINES)
    for line, element in zip(LINES.values(), image.iter(f"{NAMESPACE}polyline"), strict=True):
        path = [tuple(map(float, point.split(","))) for point in element.get("points").split()]
        assert [x for x, _ in path] == sorted(x for x, _ in path)
        # 1, 4 and 16 are evenly spaced on a logarithmic axis
        assert path[1][0] - path[0][0] == pytest.approx(path[2][0] - path[1][0], abs=0.2)
        expected = [height_of(image, point.y) for point in sorted(line, key=lambda point: point.x)]
        assert [y for _, y in path] == pytest.approx(expected, abs=0.2)


def test_intervals_and_level_are_drawn_where_they_lie():
    image = drawn(LINES)
    strokes = list(image.iter(f"{NAMESPACE}line"))
    (level,) = [e for e in strokes if e.get("stroke-dasharray") and e.get("x1") != e.get("x2") and e.get("x1") == "70"]
    assert float(level.get("y1")) == pytest.approx(height_of(image, 50), abs=0.2)
    intervals = {(float(e.get("y1")), float(e.get("y2"))) for e in strokes if e.get("stroke-opacity")}
    for point in (point for line in LINES.values() for point in line):
        expected = (height_of(image, point.low), height_of(image, point.high))
        assert any(found == pytest.approx(expected, abs=0.2) for found in intervals)


def test_everything_lies_in_the_frame_and_is_named():
    image = drawn(LINES)
    assert {"K", "acc, %", "plain", *LINES, "1", "4", "16"} <= set(texts(image))
    for element in image.iter():
        for name, limit in (("x1", 720), ("x2", 720), ("cx", 720), ("y1", 420), ("y2", 420), ("cy", 420)):
            assert 0 <= float(element.get(name, 0)) <= limit


def test_a_single_point_is_drawn_too():
    image = drawn({"only": [Point(16, 50, 50, 50)]})
    assert len(list(image.iter(f"{NAMESPACE}circle"))) == 2  # the point and its sign in the legend


def test_an_empty_plot_is_refused():
    with pytest.raises(ValueError, match="nothing to plot"):
        line_plot({}, "K", "acc", ("plain", 0))
