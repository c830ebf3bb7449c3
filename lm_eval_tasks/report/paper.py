"""A paragraph to paste into a paper for each run and each comparison; every figure is one of the report's."""

from collections.abc import Iterator, Mapping
from typing import Any

from lm_eval_tasks.report.formats import p_value
from lm_eval_tasks.report.scores import Json

HEAD = (
    "# Paragraphs for a paper\n\nEach figure is one of report.json. Say also how the model was prompted and decoded.\n"
)


def paper(report: Json) -> str:
    """The paragraphs as Markdown, which is ``paper.md``."""
    return HEAD + "".join(f"\n{each}\n" for each in paragraphs(report))


def paragraphs(report: Json) -> Iterator[str]:
    """Of each run and each comparison one.

    Args:
        report: what ``report.json`` holds.
    """
    counts = {each["run"]: each for each in report["enough"]["runs"]}
    for run in report["runs"]:
        yield _of_run(run, counts[run["name"]], report)
    for each in report["comparisons"]:
        yield _of_comparison(each)


def _of_run(run: Json, counts: Mapping[str, Any], report: Json) -> str:
    score, versions, settings = run["scores"][0], run["versions"], run["settings"]
    how = "" if run["mode"] == "pictures" else " without images"
    harness = f" with lm-evaluation-harness {versions['lm_eval']}" if versions.get("lm_eval") else ""
    sources = ", ".join(report["data"]["sources"])
    digest = f", digest {settings['data_digest']}" if settings.get("data_digest") else ""
    data = versions.get("data") or ", ".join(report["data"]["versions"])
    said = (
        f"We evaluated {run['name']}{how}{harness} on MIS-Ground (data version {data}{digest}; {report['made_by']}; "
        f"sources: {sources}): {_many(counts['questions'], 'question')} ({_many(counts['pairs'], 'pair')}) about "
        f"{_many(counts['facts'], 'fact')} in {_many(counts['volumes'], 'volume')} of "
        f"{_many(counts['patients'], 'patient')}. Accuracy was {_share(score['accuracy'])}; chance was "
        f"{100 * score['chance']:.1f} %."
    )
    if score["pairs"]:
        said += (
            f" Both questions of a pair, in which two structures are swapped, were answered correctly in "
            f"{_share(score['pair_accuracy'])}; by chance this would be {100 * score['pair_chance']:.1f} % if each "
            f"were guessed, and {100 * score['pair_chance_constant']:.1f} % if the answer were always the same."
        )
    said += f" {100 * score['invalid']['value']:.1f} % of the replies gave no answer and counted as wrong."
    return f"{said} {_method(score['accuracy'])}"


def _of_comparison(compared: Json) -> str:
    overall = compared["overall"]
    words = " without images" if compared["mode"] == "blind" else ""
    test = {"t by volume": "paired t test by volume", "t by patient": "paired t test by patient"}
    method = test.get(overall["difference"]["method"], "paired t test by fact, of one volume")
    found = overall["difference"]
    points = f"{100 * found['value']:+.1f} points"
    if found["low"] is None:
        interval = "no interval: all questions are about one fact"
    else:
        interval = (
            f"95 % interval {100 * found['low']:+.1f} to {100 * found['high']:+.1f}; p {_p(overall['p'])}, {method}"
        )
    return (
        f"On the {_many(overall['items'], 'question')} about {_many(overall['volumes'], 'volume')} that both "
        f"answered{words}, {compared['to']} was right in {100 * overall['accuracy_to']:.1f} % and {compared['from']} "
        f"in {100 * overall['accuracy_from']:.1f} %: {points} ({interval}). {compared['to']} alone was right in "
        f"{overall['won']:,}, {compared['from']} alone in {overall['lost']:,}."
    )


def _share(interval: Json) -> str:
    value = f"{100 * interval['value']:.1f} %"
    if interval["low"] is None:
        return value
    return f"{value} (95 % interval {100 * interval['low']:.1f} to {100 * interval['high']:.1f})"


def _p(p: float | None) -> str:
    shown = p_value(p)
    return shown.replace("<", "< ") if shown.startswith("<") else f"= {shown}"


def _method(interval: Json) -> str:
    if interval["low"] is None:
        return "No interval can be given."
    units = {"t by volume": "volume", "t by patient": "patient"}
    unit = units.get(interval["method"], "fact")
    only = (
        "" if interval["method"] in units else ", as all questions are about one volume, and say nothing about others"
    )
    return (
        f"Intervals are by {unit}{only}: Student's t with the variance between {interval['clusters']:,} {unit}s (CR2) "
        "and Satterthwaite's degrees of freedom."
    )


def _many(count: int, unit: str) -> str:
    return f"{count:,} {unit}{'s' * (count != 1)}"
