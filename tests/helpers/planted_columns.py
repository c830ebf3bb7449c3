"""Kinds of defects in columns, ids and the order of rows. See :mod:`tests.helpers.planting`."""

from tests.helpers.planting import anything, blank, drawn, drawn_two, kind, two


def has_prior(row):
    return bool(row["prior_answer"])


def has_none(row):
    return not row["prior_answer"] and row["input"] != "stack"


@kind(has_prior, columns="prior answer")
def the_prior_answer_left_out(planting, rows):
    for row in rows:
        row["prior_answer"] = ""


@kind(has_prior, columns="prior answer")
def another_prior_answer(planting, rows):
    for row in rows:
        row["prior_answer"] = next(option for option in row["options"] if option != row["prior_answer"])


@kind(has_none, columns="prior answer")
def a_prior_answer_where_there_is_none(planting, rows):
    for row in rows:
        row["prior_answer"] = row["answer"]


@kind(anything, columns="The licence differs from that of the scan.")
def another_licence(planting, rows):
    for row in rows:
        row["licence"] = "cc-by-nc-4.0"


@kind(anything, columns="The version differs from that of the data set.")
def another_version(planting, rows):
    for row in rows:
        row["version"] = "0.9.0"


@kind(two, columns="The margin differs from that of the structures.")
def another_margin(planting, rows):
    for row in rows:
        row["margin_mm"] += 1.5


@kind(lambda row: row["relation"] in ("larger", "smaller", "nearer", "farther"), columns="The margin")
def a_margin_too_large(planting, rows):
    for row in rows:
        row["margin_mm"] += 100


@kind(drawn, "row", ids="Rows about one fact have several fact_ids.")
def another_fact_id(planting, rows):
    for row in rows:
        row["fact_id"] = row["fact_id"][::-1]


@kind(two, "row", "cell", ids="The id of a row does not match its pair.")
def another_pair_id(planting, rows):
    for row in rows:
        row["pair_id"] = row["pair_id"][::-1]


@kind(two, pairs="A row has no pair.")
def no_pair_id(planting, rows):
    for row in rows:
        row["pair_id"] = ""


@kind(anything, boxes="pixel size")
def another_pixel_size(planting, rows):
    for row in rows:
        row["pixel_mm"] *= 1.01


def of_ct(row):
    return row["input"] == "slice" and row["modality"] == "ct"


@kind(of_ct, pixels="differs from its slice")
def another_window_in_the_column(planting, rows):
    for row in rows:
        row["window"] = "soft tissue W300 L40" if "W400" in row["window"] else "soft tissue W400 L40"


@kind(lambda row: row["input"] == "slice", answers="The slice of a row is not in the slice store.")
def another_slice_in_the_column(planting, rows):
    for row in rows:
        row["slice_index"] = [row["slice_index"][0] + 1]


@kind(anything, answers="The slice of a row is not in the slice store.")
def another_subject_in_the_column(planting, rows):
    for row in rows:
        row["subject"] = f"{row['subject']}x"


@kind(lambda row: len(row["structures"]) > 1, boxes="A box is not the box of its structure.")
def the_boxes_in_another_order(planting, rows):
    for row in rows:
        row["boxes"] = row["boxes"][::-1]


@kind(lambda row: len(row["structures"]) > 1, boxes="A point does not lie in its box.")
def the_points_in_another_order(planting, rows):
    for row in rows:
        row["points"] = row["points"][::-1]


@kind(lambda row: row["boxes"][0][2] < 100, boxes="A box is not the box of its structure.")
def a_box_too_large(planting, rows):
    for row in rows:
        row["boxes"][0][2] += 4


@kind(lambda row: row["input"] == "slice" and two(row), boxes="A box is not the box of its structure.")
def the_structures_in_another_order(planting, rows):
    for row in rows:
        row["structures"] = row["structures"][::-1]


@kind(anything, text="does not list its options")
def the_options_in_another_order(planting, rows):
    for row in rows:
        row["options"] = row["options"][::-1]
        row["answer_index"] = row["options"].index(row["answer"])


@kind(anything, schema="answer_index")
def another_answer_index(planting, rows):
    for row in rows:
        row["answer_index"] = (row["answer_index"] + 1) % len(row["options"])


@kind(lambda row: row["input"] == "slice" and row["view"] == "plain", orientation="rotated or mirrored otherwise")
def the_other_convention_in_the_column(planting, rows):
    for row in rows:
        row["convention"] = "ras" if row["convention"] == "radiological" else "radiological"


@kind(two, text="frame")
def the_other_frame_in_the_column(planting, rows):
    for row in rows:
        row["frame"] = "image" if row["frame"] == "patient" else "patient"


@kind(lambda row: row["input"] == "stack", text="another order")
def another_order_in_the_column(planting, rows):
    for row in rows:
        row["stack_order"] = "unstated" if row["stack_order"] != "unstated" else "ascending"


@kind(anything, "cell", facts="use different templates")
def another_template(planting, rows):
    for row in rows:
        row["template"] = f"{row['template'].rsplit('.', 1)[0]}.9"


# What tells the answer


@kind(anything, "everywhere", leakage="Ids, order of rows or image statistics reveal the answer.")
def the_place_of_the_answer_in_the_id(planting, rows):
    for row in rows:
        row["id"] = f"{row['id'][:-2]}{row['answer_index']}{row['id'][-2:]}"


@kind(two, ids="An id names an option or a structure.")
def the_answer_in_the_id(planting, rows):
    for row in rows:
        row["id"] = f"{row['id']}-{row['answer'].replace(' ', '-')}"


@kind(drawn_two, "everywhere", leakage="The order of a pair's rows correlates with the answer.")
def the_order_of_a_pair_that_tells_the_answer(planting, rows):
    for files in planting.ground.files.values():
        files.sort(key=lambda row: (row["pair_id"] or row["id"], row["answer"]))


@kind(anything, "row", made_again=False, leakage="The path of an image names a structure or an option.")
def the_answer_in_the_path_of_an_image(planting, rows):
    for row in rows:
        row["images"][0]["path"] = f"a/{row['answer']}.png"


@kind(blank, "row", "everywhere", blanks="A blank canvas does not have exactly one twin.")
def blank_canvases_of_other_facts(planting, rows):
    for row in rows:
        row["fact_id"] = "0123456789abcdef"


# Rows


@kind(two, "row", pairs="A pair does not consist of two rows.")
def a_row_lost(planting, rows):
    for files in planting.ground.files.values():
        files[:] = [row for row in files if row["id"] != rows[1]["id"]]


@kind(anything, "row", ids="Rows have the same id.")
def a_row_twice(planting, rows):
    for files in planting.ground.files.values():
        if any(row["id"] == rows[0]["id"] for row in files):
            files.append(dict(rows[0]))
            return


@kind(anything, "row", duplicates="Two rows are the same.")
def a_row_twice_under_another_id(planting, rows):
    for files in planting.ground.files.values():
        if any(row["id"] == rows[0]["id"] for row in files):
            files.append(rows[0] | {"id": f"{rows[0]['pair_id']}-7"})
            return


@kind(lambda row: row["input"] == "slice" and row["view"] == "plain", "row", schema="in the file of another cell")
def a_row_in_the_file_of_another_cell(planting, rows):
    files = planting.ground.files
    for name, of_file in files.items():
        if any(row["id"] == rows[0]["id"] for row in of_file):
            of_file[:] = [row for row in of_file if row["id"] != rows[0]["id"]]
            files[next(other for other in files if other != name)].append(rows[0])
            return
