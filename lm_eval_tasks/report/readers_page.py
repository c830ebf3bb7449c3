"""Human readers on the report's page: time, agreement, and the questions that they complain of, with their images."""

from collections.abc import Iterator, Sequence
from html import escape

from cluster_statistics import FEW_CLUSTERS
from lm_eval_tasks.report.formats import volumes_in_words
from lm_eval_tasks.report.images import Images
from lm_eval_tasks.report.runs import Reading
from lm_eval_tasks.report.scores import Json


def readers_part(report: Json, reading: Reading, images: Images) -> str:
    """The part as HTML; nothing if no person answered."""
    found = report["readers"]
    return "".join(_parts(found, reading, images)) if found else ""


def _parts(found: Json, reading: Reading, images: Images) -> Iterator[str]:
    yield _table(
        "Readers",
        ("reader", "answered", "cannot be answered", "seconds per question (median)", "minutes in all"),
        [
            (
                each["name"],
                f"{each['answered']:,} of {each['asked']:,}",
                f"{each['cannot_be_answered']:,}",
                "-" if each["median_seconds"] is None else f"{each['median_seconds']:g}",
                f"{each['total_minutes']:g}",
            )
            for each in found["readers"]
        ],
    )
    if found["agreement"]:
        yield _table(
            "Agreement of readers: Fleiss' kappa on the questions that all of them answered",
            ("readers", "options", "questions", "volumes", "all agree", "kappa"),
            [
                (
                    ", ".join(each["readers"]),
                    f"{each['options']}",
                    f"{each['items']:,}",
                    f"{each['volumes']:,}",
                    f"{100 * each['agree']:.0f} %",
                    "-" if each["kappa"] is None else f"{each['kappa']:.2f}",
                )
                for each in found["agreement"]
            ],
            [each["volumes"] < FEW_CLUSTERS for each in found["agreement"]],
        )
    if found["flagged"]:
        yield (
            f"<h3>Questions that readers call wrong or unanswerable ({len(found['flagged'])})</h3><p>For curation: "
            "flagged.json beside this page lists them. Remove from it what is fine after all; mis-ground build "
            '--exclude flagged.json then leaves out the facts that remain.</p><ul class="flagged">'
        )
        yield from (_flagged(each, reading, images) for each in found["flagged"])
        yield "</ul>"


def _flagged(entry: Json, reading: Reading, images: Images) -> str:
    question = reading.questions[entry["id"]]
    shown = "".join(
        f'<img data-image="{number}" alt="image {place} of the question" loading="lazy">'
        for place, number in enumerate(images.of.get(entry["id"], []), start=1)
    )
    said = "".join(f"<li>{escape(_said(each))}</li>" for each in entry["reports"])
    return (
        f'<li><div class="shown">{shown or "no image"}</div><div><p class="question">{escape(question["question"])}</p>'
        f"<p>Right: {escape(str(question['answer']))}</p><ul>{said}</ul>"
        f'<p><a href="#item={escape(entry["id"])}">Open the question</a></p></div></li>'
    )


def _said(report: Json) -> str:
    remark = f": {report['remark']}" if report["remark"] else ""
    answer = "" if report["answer"] is None else f", answered {report['answer']}"
    return f"{report['reader']}: {report['kind']} ({report['reason']}){remark}{answer}"


def in_words(report: Json) -> Iterator[str]:
    """Agreement and complaints, for the terminal."""
    found = report["readers"] or {"agreement": [], "flagged": []}
    for each in found["agreement"]:
        kappa = "not defined" if each["kappa"] is None else f"{each['kappa']:.2f}"
        few = f", which are of {volumes_in_words(each['volumes'])}" if each["volumes"] < FEW_CLUSTERS else ""
        yield (
            f"Readers {', '.join(each['readers'])}: Fleiss' kappa {kappa}; they agree on "
            f"{100 * each['agree']:.0f} % of {each['items']:,} questions with {each['options']} options{few}."
        )
    if found["flagged"]:
        yield f"Readers call {len(found['flagged']):,} question(s) wrong or unanswerable: see flagged.json."


def _table(caption: str, head: tuple[str, ...], rows: list[tuple[str, ...]], few: Sequence[bool] = ()) -> str:
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    grey = [' class="few"' if each else "" for each in few] or [""] * len(rows)
    body = "".join(
        f"<tr{kind}>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>"
        for row, kind in zip(rows, grey, strict=True)
    )
    return (
        f'<div class="wide"><table class="plain"><caption>{escape(caption)}</caption>'
        f"<thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>"
    )
