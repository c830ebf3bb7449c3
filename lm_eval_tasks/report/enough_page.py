"""Parts of the page: whether the questions are enough, how replicates vary, and paragraphs for a paper."""

from html import escape

from lm_eval_tasks.report.paper import paragraphs
from lm_eval_tasks.report.scores import Json


def enough_part(report: Json) -> str:
    """In words what the questions can show, of each run and comparison."""
    found = report["enough"]
    return _listed([each["said"] for each in (*found["comparisons"], *found["runs"])])


def replicates_part(report: Json) -> str:
    """In words how far scores move with the choice of slices and wordings; empty without replicates."""
    return _listed([each["said"] for each in report["replicates"]])


def paper_part(report: Json) -> str:
    """The paragraphs of ``paper.md``."""
    return "".join(f"<p>{escape(each)}</p>" for each in paragraphs(report))


def pair_chance(score: Json) -> str:
    """How often a pair is right by chance: guessed, and with the same answer to both."""
    if score["pair_chance"] is None:
        return "-"
    return f"{100 * score['pair_chance']:.1f}; always the same answer: {100 * score['pair_chance_constant']:.1f}"


def _listed(lines: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>" if lines else ""
