"""A forecast in the terminal: what is assumed, four tables, and what follows in words."""

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lm_eval_tasks.report.scores import Json

NUMBERS = ("questions", "pairs", "accuracy", "seen", "of pairs", "seen of pairs")
CAPTION = (
    "Points of a hundred. accuracy, of pairs: known to within; seen: differences of two models that are found with a "
    "power of 80 %."
)


def show(found: Json, console: Console) -> None:
    """Print a forecast."""
    for line in said(found):
        console.print(escape(line), soft_wrap=True, highlight=False)
    unit = found["unit"]
    console.print(_table(f"By number of {plural(unit)}", [f"{plural(unit)}"], found["by_volumes"], ["volumes"]))
    console.print(_table(f"By questions per {unit}", [f"per {unit}"], found["by_questions"], ["questions_per_volume"]))
    names = ["ICC", "design effect"]
    console.print(
        _table(
            f"By what questions of a {unit} have in common",
            names,
            found["by_correlation"],
            ["correlation", "design_effect"],
        )
    )
    if found["by_factor"]:
        named = [row | {"group": f"{row['factor']}: {row['value']}"} for row in found["by_factor"]]
        console.print(_table("By factor", ["factor", plural(unit)], named, ["group", "volumes"]))
    if found["effects"]:
        console.print(_effects(found))


def _table(title: str, names: Sequence[str], rows: Sequence[Json], keys: Sequence[str]) -> Table:
    table = Table(
        title=title, caption="Points of a hundred; differences are seen with 80 % power.", caption_justify="left"
    )
    for name in (*names, *NUMBERS):
        table.add_column(name, justify="left" if name == "factor" else "right", overflow="fold")
    for row in rows:
        table.add_row(*(text(row[key]) for key in keys), *cells(row))
    return table


def cells(row: Json) -> Iterator[str]:
    """The numbers of a row, in the order of `NUMBERS`."""
    yield f"{row['questions']:,}"
    yield f"{row['pairs']:,}"
    yield within(row["accuracy"])
    yield points(row["difference"])
    yield within(row["pair_accuracy"])
    yield points(row["pair_difference"])


def text(value: object) -> str:
    """A number without needless decimals, or a text."""
    return (
        f"{value:,.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else escape(str(value))
    )


def within(interval: Json | None) -> str:
    """Half the width of an interval, in points of a hundred."""
    if interval is None or interval["low"] is None:
        return "-"
    return f"± {50 * (interval['high'] - interval['low']):.1f}"


def points(difference: float | None) -> str:
    """A difference in points of a hundred; none is found of fewer than two volumes, or of too few."""
    return "none" if difference is None else f"{100 * difference:.1f}"


def plural(unit: str) -> str:
    """The word for several volumes, patients or facts."""
    return f"{unit}s"


def _effects(found: Json) -> Table:
    table = Table(title="Effects of factors: matched questions of the first run")
    for name in ("factor", "change"):
        table.add_column(name, overflow="fold")
    for name in ("matched", plural(found["unit"]), "measured", "difference seen"):
        table.add_column(name, justify="right")
    for effect in found["effects"]:
        change = escape(f"{effect['from']} -> {effect['to']}")
        numbers = (f"{effect['matched']:,}", f"{effect['volumes']:,}", f"{100 * effect['measured']:+.1f}")
        table.add_row(effect["factor"], change, *numbers, points(effect["difference"]))
    return table


def said(found: Json) -> Iterator[str]:
    """What a forecast rests on and comes to, in sentences."""
    data, unit, own = found["data"], found["unit"], found["as_it_is"]
    yield (
        f"{data['questions']:,} questions ({data['pairs']:,} pairs) about {data['facts']:,} facts in "
        f"{data['volumes']:,} volumes of {data['patients']:,} patients; controls and answers that are no options are "
        "not counted."
    )
    basis = found["questions"]
    yield (
        f"Accuracy {100 * basis['accuracy']:.1f} % ({basis['from']['accuracy']}); intraclass correlation "
        f"{basis['correlation']:.3f} ({basis['from']['correlation']}), so that {own['design_effect']:.1f} "
        f"questions count as one; two models differ on {100 * basis['discordant']:.1f} % of the questions "
        f"({basis['from']['discordant']}), with a correlation of {basis['correlation_of_differences']:.3f} "
        f"({basis['from']['correlation_of_differences']})."
    )
    if own["accuracy"]["low"] is None:
        yield f"With one {unit} nothing can be said about others: add more."
        return
    seen = own["difference"]
    yield (
        f"To be expected: an accuracy known to {within(own['accuracy'])} points (95 % interval by {unit}). "
        + (
            "No difference between two models is seen with 80 % power."
            if seen is None
            else f"A difference between two models is seen with 80 % power from {100 * seen:.1f} points on."
        )
    )
    needed = [
        f"{100 * each['difference']:g} points: " + (f"{each['volumes']:,}" if each["volumes"] else "more than 20,000")
        for each in found["needed"]
    ]
    yield (
        f"{plural(unit).capitalize()} needed, with as many questions each, to see a difference of "
        + "; ".join(needed)
        + "."
    )
