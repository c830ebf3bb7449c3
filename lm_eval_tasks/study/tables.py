"""The tables of a study's report, and its main sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from lm_eval_tasks.report.formats import p_value, per_cent
from lm_eval_tasks.report.scores import Json


@dataclass(frozen=True)
class Table:
    """A table of texts, under headings."""

    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def markdown(self) -> str:
        """As Markdown."""
        lines = ["| " + " | ".join(self.headings) + " |", "|" + "---|" * len(self.headings)]
        return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in self.rows)])

    def html(self) -> str:
        """As HTML."""
        head = "".join(f'<th scope="col">{escape(each)}</th>' for each in self.headings)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows)
        return (
            f'<div class="wide"><table class="plain"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        )


ARMS = (
    *("arm", "answers", "accuracy", "by seed", "spread of seeds", "invalid", "length", "tokens changed"),
    *("replies changed", "answers changed", "first change", "at the first token", "ms a token", "ms an answer"),
)


def arms_table(part: Json) -> Table:
    """What each arm gave and cost."""
    rows = []
    for arm in part["arms"]:
        several = arm["seeds"] > 1
        own = arm["name"] == part["base"]
        rows.append(
            (
                *(arm["name"], str(arm["seeds"]), per_cent(arm["accuracy"])),
                ", ".join(_share(value) for value in arm["by_seed"]) if several else "",
                *(_share(arm["spread_of_seeds"]), per_cent(arm["invalid"]), _number(arm["length"])),
                *(
                    "" if own else _share(arm[name])
                    for name in ("tokens_changed", "replies_changed", "answers_changed")
                ),
                *("" if own else _number(arm["first_change"]),),
                *("" if own else _share(arm["first_change_at_first_token"]),),
                *(_number(_thousandfold(arm[name])) for name in ("seconds_a_token", "seconds_an_answer")),
            )
        )
    return Table(ARMS, rows)


def tests_table(tests: Sequence[Json]) -> Table:
    """Comparisons: differences with intervals and p-values."""
    rows = [
        (
            test["arm"],
            test["against"],
            " ".join(test["by"][1:]) or "all",
            f"{test['items']:,}",
            str(test["volumes"]),
            per_cent(test["difference"], signed=True),
            p_value(test["p"]),
            p_value(test["p_holm"]),
        )
        for test in tests
    ]
    return Table(("arm", "against", "questions", "items", "volumes", "difference", "p", "p, Holm"), rows)


def swaps_table(part: Json) -> Table:
    """Answers that turned into the opposite, each way."""
    rows = [
        (arm["name"], swap["from"], swap["to"], str(swap["count"]), str(swap["put_right"]), str(swap["put_wrong"]))
        for arm in part["arms"]
        for swap in arm["swapped"]
    ]
    return Table(("arm", f"{part['base']} said", "the arm said", "answers", "put right", "put wrong"), rows)


def primary_sentence(primary: Json | None) -> str:
    """The primary comparison in a sentence."""
    if primary is None:
        return "Primary comparison: not answered yet."
    p = primary["p"]
    verdict = (
        "too few volumes for a test"
        if p is None
        else f"p {p_value(p)}, which {'is' if p < 0.05 else 'is not'} below 0.05"
    )
    return (
        f"Primary comparison ({primary['model']}, {primary['style']}): {primary['arm']} against {primary['against']}, "
        f"{per_cent(primary['difference'], signed=True)} points over {primary['items']:,} questions about "
        f"{primary['volumes']} volumes; {verdict}."
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _thousandfold(value: float | None) -> float | None:
    return None if value is None else 1000 * value
