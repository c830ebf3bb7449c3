"""A leaderboard from many runs' ``report.json``.

Runs that answered the same questions stand in one table; others cannot be compared, and stand in tables of their own.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from dataset_builder.core.errors import MISGroundError
from dataset_builder.gallery import pages
from lm_eval_tasks.report.contents import SCHEMA_VERSION
from lm_eval_tasks.report.formats import per_cent
from lm_eval_tasks.report.items import FACTORS
from lm_eval_tasks.report.plots import SHARE, Mark, defs, tick_line, track
from lm_eval_tasks.report.scores import Json

FILE = "report.json"


def write_leaderboard(places: Sequence[Path], out: Path) -> list[list[Json]]:
    """Write the page.

    Args:
        places: ``report.json`` files, or folders with reports somewhere below them.
        out: the page.

    Returns:
        The tables: runs that answered the same questions, the most accurate first.

    Raises:
        MISGroundError: if a file is not a report of this version, or there is none.
        BuildError: if the page cannot be written.
    """
    pages.check_page(out)
    boards = _boards(_runs(_read(path)) for path in _files(places))
    parts = {
        "shapes": defs(),
        "boards": "".join(map(_board, boards)),
        "made_by": escape(f"mis-ground {metadata.version('mis-ground')}"),
    }
    code = {"style": _part("page.css") + _part("leaderboard.css"), "script": _part("leaderboard.js")}
    pages.write_page(out, pages.make_page(_part("leaderboard.html"), code, parts))
    return boards


def _part(name: str) -> str:
    return resources.files("lm_eval_tasks.report").joinpath(name).read_text(encoding="utf-8")


def _files(places: Sequence[Path]) -> list[Path]:
    found = [path for place in places for path in ([place] if place.is_file() else sorted(place.rglob(FILE)))]
    if not found:
        raise MISGroundError(
            "This is not a report.",
            file=", ".join(map(str, places)),
            remedy="Give report.json files, or folders with them: mis-ground report RUN --out DIR makes one.",
        )
    return found


def _read(path: Path) -> Json:
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        assert report["schema"] == "mis-ground-report", "not a report of mis-ground"
    except (OSError, ValueError, LookupError, TypeError, AssertionError) as error:
        raise MISGroundError("A report cannot be read.", file=path, value=error, remedy="Make it again.") from error
    if report["schema_version"] != SCHEMA_VERSION:
        raise MISGroundError(
            "A report was written by another version.",
            file=path,
            value=f"schema_version {report['schema_version']}; this is {SCHEMA_VERSION}",
            remedy="Make it again with this version: mis-ground report.",
        )
    found: Json = report
    return found


def _runs(report: Json) -> list[Json]:
    data = {"sources": report["data"]["sources"]}
    return [{**run, "data": data} for run in report["runs"]]


def _boards(reports: Iterable[list[Json]]) -> list[list[Json]]:
    """The runs by the questions that they answered, with images before blind ones, most questions first.

    Ids may be the same in two data versions though questions are not: each version has tables of its own.
    """
    boards: dict[tuple[str, str, str], list[Json]] = {}
    seen = set()
    for run in (run for report in reports for run in report):
        # The same run may be in several reports.
        identity = json.dumps(
            [
                *(run[name] for name in ("name", "mode", "items_digest", "settings")),
                _data_version(run),
                run["scores"][0]["accuracy"],
            ]
        )
        if identity not in seen:
            seen.add(identity)
            boards.setdefault((run["mode"], run["items_digest"], _data_version(run)), []).append(run)
    for board in boards.values():
        board.sort(key=lambda run: -run["scores"][0]["accuracy"]["value"])
    return sorted(boards.values(), key=lambda board: (board[0]["mode"] != "pictures", -board[0]["items"], -len(board)))


def _data_version(run: Json) -> str:
    return str(run["versions"].get("data", ""))


def tied(board: Sequence[Json]) -> list[bool]:
    """Whether each run's interval reaches that of the best; never for the best itself."""
    best = board[0]["scores"][0]["accuracy"]
    return [
        number > 0 and (run["scores"][0]["accuracy"]["high"] or 0) >= (best["low"] or 0)
        for number, run in enumerate(board)
    ]


def _board(board: Sequence[Json]) -> str:
    first = board[0]
    data = first["data"]
    what = "without images" if first["mode"] == "blind" else "with images"
    sources = ", ".join(data["sources"])
    title = (
        f"{first['items']:,} questions {what}; {first['scores'][0]['volumes']:,} volumes ({sources}); "
        f"data version {_data_version(first)}; digest {first['items_digest']}"
    )
    terminologies = [name for name in FACTORS["terminology"] if any(_of(run, name) for run in board)]
    columns = [
        "run",
        "accuracy",
        "both of a pair",
        *terminologies,
        "no valid answer",
        "gain over blind",
        "followed the prior",
    ]
    sorted_by = ' aria-sort="descending"'
    heads = [f'<th scope="col"{sorted_by if name == "accuracy" else ""}>{_button(name)}</th>' for name in columns]
    heads.insert(2, f"<th>{tick_line(SHARE)}</th>")
    heads.append(f'<th scope="col">{_button("date")}</th>')
    body = "".join(_row(run, terminologies, mark) for run, mark in zip(board, tied(board), strict=True))
    return (
        f'<section><h2>{escape(title)}</h2><div class="wide"><table class="board">'
        f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{body}</tbody></table></div></section>"
    )


def _button(name: str) -> str:
    return f'<button type="button">{escape(name)}</button>'


def _row(run: Json, terminologies: Sequence[str], is_tied: bool) -> str:
    overall = run["scores"][0]
    settings = json.dumps(run["settings"])
    cells = [
        f'<th scope="row" data-value="{escape(run["name"])}" title="{escape(settings)}">'
        f"{'≈ ' if is_tied else ''}{escape(run['name'])}</th>",
        _cell(overall["accuracy"]),
        f'<td class="track">{track([Mark(overall["accuracy"], overall["chance"])], SHARE)}</td>',
        _cell(overall["pair_accuracy"]),
        *(_cell(score["accuracy"] if (score := _of(run, name)) else None) for name in terminologies),
        _cell(overall["invalid"]),
        _cell(overall["blind"]["gain"] if overall["blind"] else None, signed=True),
        _cell(overall["prior"]["followed"] if overall["prior"] else None),
    ]
    date = max(run["dates"], default=None)
    shown = "" if date is None else f"{datetime.fromtimestamp(date, UTC):%Y-%m-%d}"
    cells.append(f'<td data-value="{"" if date is None else date}">{shown}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _cell(interval: dict[str, Any] | None, signed: bool = False) -> str:
    value = "" if interval is None or interval["value"] is None else interval["value"]
    number, _, bounds = per_cent(interval, signed=signed).partition(" ")
    bounds = bounds.replace("(", "").replace(")", "")
    return f'<td data-value="{value}">{escape(number)}<small>{escape(bounds)}</small></td>'


def _of(run: Json, terminology: str) -> Json | None:
    found: Json | None = next(
        (score for score in run["scores"] if score["by"] == ["terminology"] and score["value"] == [terminology]), None
    )
    return found
