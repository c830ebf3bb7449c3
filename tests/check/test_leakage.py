import random
from dataclasses import replace

from dataset_builder.check.findings import Findings
from dataset_builder.check.images import Images, Seen
from dataset_builder.check.leakage import check_leakage
from tests.helpers.audit_items import items, pair


def problems(rows, seen=None):
    findings = Findings()
    images = Images(findings)
    images.seen |= seen or {}
    check_leakage(rows, images, findings)
    return set(findings.checks["leakage"].violations)


def fair(count=200):
    """Pairs whose letters, options and order are drawn."""
    draw = random.Random(0)
    made = []
    for _ in range(count):
        boxes = ((10, 10, 20, 20), (40, 40, 60, 60))
        points = ((15, 15), (50, 50))
        if draw.random() < 0.5:
            boxes, points = boxes[::-1], points[::-1]
        made.append(pair(flip=draw.random() < 0.5, turned_options=draw.random() < 0.5, boxes=boxes, points=points))
    return made


def test_drawn_pairs_betray_nothing():
    assert problems(items(*fair())) == set()


def test_a_that_is_always_left_is_found():
    rows = [first for first, _ in fair()]
    rows = [replace(row, points=tuple(sorted(row.points))) for row in rows]
    assert "A is on one side of B more often than on the other." in problems(items(rows))


def test_a_first_option_that_goes_with_the_letters_is_found():
    made = []
    for pair_of in fair():
        for row in pair_of:
            options = (
                ("left", "right") if (row.points[0] < row.points[1]) == (row.answer == "left") else ("right", "left")
            )
            made.append(replace(row, options=options, answer_index=options.index(row.answer)))
    assert "The position of the right option correlates with the place of A." in problems(items(made))


def test_an_order_of_rows_that_goes_with_the_answer_is_found():
    made = [sorted(rows, key=lambda row: row.answer) for rows in fair()]
    assert problems(items(*made)) == {"The order of a pair's rows correlates with the answer."}


def test_a_size_that_goes_with_the_answer_is_found():
    def with_images(bytes_of, width_of):
        seen, made = {}, []
        for number, rows in enumerate(fair()):
            shown = []
            for row in rows:
                digest = f"{number}{row.answer}".encode()
                width = width_of(row)
                seen[digest] = Seen(width, width, bytes_of(row))
                shown.append(replace(row, images=(digest,)))
            made.append(shown)
        return items(*made), seen

    draw = random.Random(4)
    assert problems(*with_images(lambda row: draw.randrange(1000, 2000), lambda row: 64)) == set()
    larger = {"Of two inverse rows the image is larger for one of the answers."}
    assert problems(*with_images(lambda row: 1000 + (row.answer == "left"), lambda row: 64)) == larger
    assert problems(*with_images(lambda row: 1000, lambda row: 64 + (row.answer == "left"))) == larger
