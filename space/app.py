"""A page to look at a MIS-Ground data set, and to ask a model one of its questions.

It needs nothing of the toolkit: the data set says all by itself.
"""

import base64
import os
import re
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import datasets
import gradio as gr
import pandas as pd
from huggingface_hub import InferenceClient
from PIL import Image, ImageDraw
from starlette.responses import FileResponse
from starlette.routing import Route

PLACE = os.environ.get("MIS_GROUND_DATASET", "mis-ground/mis-ground")
REVISION = os.environ.get("MIS_GROUND_REVISION") or None
ENDPOINT = os.environ.get("MIS_GROUND_ENDPOINT") or None
MODEL = os.environ.get("MIS_GROUND_MODEL", "Qwen/Qwen3-VL-8B-Instruct")
READER = Path(os.environ.get("MIS_GROUND_READER", Path(__file__).with_name("reader.html")))
"""The page of `mis-ground read`, on which a visitor answers questions; without it the Space does not offer that."""

FACTORS = ("modality", "plane", "terminology", "prompt", "register", "convention", "frame", "input", "view")
FACTORS += ("statement", "option_form")
ANY = "any"
CLEAN_PROMPTS = ("none", "text_point", "text_box")
"""Prompts that leave the image as it is."""
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")
"""Of the boxes that this page draws; distinguishable for colour-blind readers."""
AS_SHOWN, WITHOUT, BOXED = "as the model sees it", "without marker", "with boxes"
INSTRUCTION = "Answer with one of the options and nothing else."


@cache
def data() -> tuple[datasets.Dataset, pd.DataFrame]:
    """The rows, and their texts as a table."""
    rows = datasets.load_dataset(PLACE, "all", split="test", revision=REVISION)
    columns = [name for name in ("images",) if name in rows.column_names]
    return rows, rows.remove_columns(columns).to_pandas()


def choose(texts: pd.DataFrame, values: dict[str, str]) -> list[int]:
    """The numbers of the rows whose factors have these values."""
    kept = pd.Series(True, index=texts.index)
    for factor, value in values.items():
        if value not in (ANY, None) and factor in texts:
            kept &= texts[factor] == value
    return [int(number) for number in texts.index[kept]]


def clean_sibling(texts: pd.DataFrame, number: int) -> int | None:
    """A row with the same image without its marker; ``None`` if the data set has none."""
    row = texts.loc[number]
    if row["prompt"] in CLEAN_PROMPTS and row["input"] != "blank":
        return number
    same = texts["prompt"].isin(CLEAN_PROMPTS)
    for name in ("source", "subject", "plane", "convention", "window"):
        same &= texts[name] == row[name]
    wanted = list(row["slice_index"])
    same &= texts["slice_index"].map(lambda found: list(found) == wanted)
    same &= (texts["input"] == "slice") & (texts["view"] == "plain")
    found = texts.index[same]
    return int(found[0]) if len(found) else None


def images_of(number: int, shown: str) -> list[Image.Image]:
    """The images of a row: as they are, without the marker, or with the boxes of its structures drawn in."""
    rows, texts = data()
    if "images" not in rows.column_names:
        return []
    if shown == WITHOUT:
        sibling = clean_sibling(texts, number)
        return [] if sibling is None else rows[sibling]["images"]
    found = rows[number]["images"]
    return [boxed(image, texts.loc[number], place) for place, image in enumerate(found)] if shown == BOXED else found


def boxed(image: Image.Image, row: pd.Series, place: int) -> Image.Image:
    """An image with the box of each structure that lies in it."""
    drawn = image.convert("RGB")
    pen = ImageDraw.Draw(drawn)
    where = row.get("box_images", [0] * len(row["boxes"]))
    for number, (box, lies_in) in enumerate(zip(row["boxes"], where, strict=True)):
        if lies_in == place:
            x0, y0, x1, y1 = (int(value) for value in box)
            pen.rectangle((x0, y0, x1 - 1, y1 - 1), outline=COLOURS[number % len(COLOURS)], width=2)
            pen.text((x0 + 3, y0 + 2), "ABCD"[number % 4], fill=COLOURS[number % len(COLOURS)])
    return drawn


def details(row: pd.Series) -> list[list[str]]:
    """All that is known of a row, for a table."""
    left_out = ("question", "options", "answer", "answer_index")
    return [[name, _text(value)] for name, value in row.items() if name not in left_out]


def _text(value: Any) -> str:
    if hasattr(value, "tolist"):
        value = value.tolist()
    return "" if value is None else str(value)


def options_in(reply: str, options: list[str]) -> list[str]:
    """The options that stand in a reply as whole words or phrases, longest first.

    >>> options_in("It is to the left.", ["right", "left"])
    ['left']
    """
    found = [one for one in options if re.search(rf"(?<!\w){re.escape(one)}(?!\w)", reply, re.IGNORECASE)]
    return sorted(found, key=len, reverse=True)


def ask(number: int, model: str, token: str | None) -> str:
    """What a model answers to a row's question, with its images."""
    rows, texts = data()
    row = texts.loc[number]
    content: list[dict[str, Any]] = []
    for image in rows[number]["images"] if "images" in rows.column_names else []:
        stream = BytesIO()
        image.save(stream, "PNG")
        encoded = base64.b64encode(stream.getvalue()).decode()
        content.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded}"}})
    content.append({"type": "text", "text": f"{row['question']}\n{INSTRUCTION}"})
    where = {"base_url": ENDPOINT} if ENDPOINT else {"model": model.strip()}
    try:
        client = InferenceClient(api_key=(token or "").strip() or None, timeout=120, **where)
        said = client.chat_completion(
            [{"role": "user", "content": content}], model=model.strip(), max_tokens=64, temperature=0.0
        )
    except Exception as error:  # a visitor's model, token and network: whatever fails is reported, not raised
        return f"The model could not be asked: {type(error).__name__}: {str(error).splitlines()[0][:300]}"
    reply = (said.choices[0].message.content or "").strip()
    found = options_in(reply, list(row["options"]))
    verdict = "right" if found[:1] == [row["answer"]] and len(found) == 1 else "not the right option alone"
    return f"{reply}\n\nOptions in it: {', '.join(found) or 'none'}; {verdict}."


def build() -> gr.Blocks:
    """The page."""
    _, texts = data()
    present = {factor: sorted(texts[factor].dropna().unique()) for factor in FACTORS if factor in texts}
    with gr.Blocks(title="MIS-Ground") as page:
        gr.Markdown(
            "# MIS-Ground\nWhere vision-language models lose their bearings in medical images: "
            f"{len(texts):,} questions of `{PLACE}`. **Not for clinical use.**"
        )
        if READER.is_file():
            gr.HTML(
                '<p id="reader">What do you reach? <a href="read" target="_blank">Answer some of the questions '
                "yourself</a>, without being told the answers, on slices in full resolution.</p>"
            )
        found = gr.State(list(range(len(texts))))
        with gr.Row():
            with gr.Column(scale=1, min_width=220):
                filters = [
                    gr.Dropdown([ANY, *values], value=ANY, label=factor, elem_id=f"filter-{factor}")
                    for factor, values in present.items()
                ]
            with gr.Column(scale=3):
                with gr.Row():
                    back = gr.Button("Back", elem_id="back")
                    place = gr.Number(1, precision=0, minimum=1, label="question", elem_id="place")
                    onward = gr.Button("Next", elem_id="next")
                count = gr.Markdown(elem_id="count")
                shown = gr.Radio([AS_SHOWN, WITHOUT, BOXED], value=AS_SHOWN, label="image", elem_id="shown")
                gallery = gr.Gallery(
                    label="image", columns=4, object_fit="contain", height=600, format="png", elem_id="image"
                )
            with gr.Column(scale=2, min_width=300):
                question = gr.Textbox(label="question", lines=5, interactive=False, elem_id="question")
                options = gr.Radio([], label="your answer", elem_id="options")
                verdict = gr.Markdown(elem_id="verdict")
                with gr.Accordion("Ask a model", open=False, elem_id="ask"):
                    model = gr.Textbox(MODEL, label="model", elem_id="model")
                    token = gr.Textbox(
                        label="your Hugging Face token (for this question only, not kept)",
                        type="password",
                        visible=ENDPOINT is None,
                        elem_id="token",
                    )
                    go = gr.Button("Ask", elem_id="go")
                    reply = gr.Textbox(label="reply", lines=4, interactive=False, elem_id="reply")
                with gr.Accordion("All columns", open=False):
                    known = gr.Dataframe(headers=["column", "value"], wrap=True, elem_id="known")

        def number_of(chosen: list[int], wanted: float | None) -> int | None:
            return chosen[min(max(int(wanted or 1), 1), len(chosen)) - 1] if chosen else None

        def show(chosen: list[int], wanted: float | None, how: str) -> tuple[Any, ...]:
            number = number_of(chosen, wanted)
            if number is None:
                return "No question has these values.", [], "", gr.Radio(choices=[], value=None), "", [], ""
            row = texts.loc[number]
            images = images_of(number, how)
            text = f"{min(max(int(wanted or 1), 1), len(chosen))} of {len(chosen):,} · `{row['id']}`"
            if not images:
                text += " · the data set has no such image of this slice"
            choices = gr.Radio(choices=list(row["options"]), value=None)
            return text, images, row["question"], choices, "", details(row), ""

        outputs = [count, gallery, question, options, verdict, known, reply]

        def filtered(*values: str) -> tuple[list[int], int]:
            return choose(texts, dict(zip(present, values, strict=True))), 1

        def judged(chosen: list[int], wanted: float, answer: str | None) -> str:
            number = number_of(chosen, wanted)
            if answer is None or number is None:
                return ""
            right = texts.loc[number, "answer"]
            return f"**Right:** {right}." if answer == right else f"**Wrong.** Right is: {right}."

        def asked(chosen: list[int], wanted: float, which: str, secret: str | None) -> str:
            number = number_of(chosen, wanted)
            return "" if number is None else ask(number, which, secret)

        def opened(request: gr.Request) -> int:
            """A link can name a question: ?id=... Else begin with a whole image, not with a control."""
            wanted = request.query_params.get("id", "")
            at = texts.index[texts["id"] == wanted]
            if not len(at):
                at = texts.index[(texts["input"] == "slice") & (texts["view"] == "plain")]
            return int(at[0]) + 1 if len(at) else 1

        for one in filters:
            one.input(filtered, filters, [found, place]).then(show, [found, place, shown], outputs)
        back.click(lambda n: max(int(n or 1) - 1, 1), place, place).then(show, [found, place, shown], outputs)
        onward.click(lambda n, chosen: min(int(n or 0) + 1, max(len(chosen), 1)), [place, found], place).then(
            show, [found, place, shown], outputs
        )
        place.submit(show, [found, place, shown], outputs)
        shown.input(show, [found, place, shown], outputs)
        options.input(judged, [found, place, options], verdict)
        go.click(asked, [found, place, model, token], reply)
        page.load(opened, None, place).then(show, [found, place, shown], outputs)
    return page


def serve() -> None:
    """Run the page, and beside it, at ``/read``, the reader's page: a file of its own that sends nothing."""
    page = build()
    # Rendering in Node would answer in Python's place and knows nothing of the second page.
    app, _, _ = page.launch(prevent_thread_lock=True, ssr_mode=False)
    if READER.is_file():
        app.router.routes.insert(0, Route("/read", lambda _: FileResponse(READER, media_type="text/html")))
    page.block_thread()


if __name__ == "__main__":
    serve()
