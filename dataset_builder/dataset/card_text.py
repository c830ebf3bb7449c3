"""The marked parts of a data set's card, each written from the record of a folder."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from fnmatch import fnmatch
from typing import Any

from dataset_builder.core.factors import FACTORS, PROMPTS, TERMINOLOGIES, TEST
from dataset_builder.dataset.licences import licence, most_restrictive
from dataset_builder.dataset.manifest import RECORD_NAME, SLICES, Key, Record

ALL_FILES = "data/*/*.parquet"
"""What the config ``all`` reads: every question but those of a user's own configs."""


def all_of(record: Record) -> list[Key]:
    """The splits that the config ``all`` holds."""
    return [key for key, note in record.questions.items() if all(fnmatch(file, ALL_FILES) for file in note.files)]


def parts(record: Record, place: str) -> dict[str, str]:
    """The marked parts of the text, by name."""
    return {
        "summary": _summary(record),
        "use": _use(record, place),
        "counts": _counts(record),
        "examples": _examples(record),
        "making": _making(record),
        "sources": _sources(record),
        "limits": _limits(record),
    }


def _summary(record: Record) -> str:
    questions = sum(note.rows for note in record.questions.values())
    volumes = sum(source.volumes for source in record.sources)
    slices = sum(build.slices for build in record.builds)
    versions = " and ".join(sorted({build.version for build in record.builds}))
    return (
        "Questions about where anatomy lies in labelled CT and MRI slices, varied one factor at a time, to show where "
        "vision-language\nmodels lose their bearings. "
        f"{questions:,} questions about {slices:,} slices of {volumes:,} volumes; data version {versions}, content "
        f"`{record.content}`." + ("" if all(build.pictures for build in record.builds) else f"\n\n{_RECIPE}")
    )


_RECIPE = """\
> **This is a recipe: the images are left out**, because a licence does not allow redistributing them. If you have the
> scans, you can rebuild the data set, and every image is verified: `mis-ground rebuild PLACE --source NAME:DIR`."""


def _use(record: Record, place: str) -> str:
    config, split = next(iter(record.questions))
    lines = ["```python", "from datasets import load_dataset", ""]
    if everything := all_of(record):
        whole = record.build_of(everything[0]).split
        lines.append(f'{whole} = load_dataset("{place}", "all", split="{whole}")')
    lines.append(f'cell = load_dataset("{place}", "{config}", split="{split}")')
    for config, split in record.splits:
        if config == SLICES:
            lines.append(
                f'slices = load_dataset("{place}", "slices", split="{split}")  # grey images, label maps, geometry'
            )
    if all(build.split != TEST for build in record.builds):
        return "\n".join([*lines, "```", "", "To train models on: no subject of it is in the test split."])
    score = f"mis-ground eval {place} --model hf-multimodal --model_args pretrained=MODEL"
    lines += [
        "```",
        "",
        "Score a model with lm-evaluation-harness (`pip install mis-ground`):",
        "",
        "```bash",
        f"{score} --apply_chat_template --tasks 'mis_ground_*'",
        "```",
    ]
    return "\n".join(lines)


def _counts(record: Record) -> str:
    cells = {key: note.rows for key, note in record.questions.items() if _is_cell(key)}
    others = {key: note.rows for key, note in record.splits.items() if key not in cells}
    text = []
    if cells:
        text.append(_cells_table(cells))
    if others:
        text.append(table(["config", "split", "rows"], [[f"`{c}`", f"`{s}`", n] for (c, s), n in others.items()]))
    if all_of(record):
        text.append("`all` (default) holds every question of the folder `data`, split `test`.")
    if any(config == SLICES for config, _ in record.splits):
        text.append("`slices` is the slice store, from which other questions can be made without the scans.")
    names = record.structures
    if names:
        text.append(f"{len(names)} structures are asked about: {', '.join(names)}.")
    return "\n\n".join(text)


def _is_cell(key: Key) -> bool:
    terminology, _, prompt = key[1].partition("_")
    return terminology in TERMINOLOGIES and prompt in PROMPTS


def _cells_table(rows: Mapping[Key, int]) -> str:
    configs = list(dict.fromkeys(config for config, _ in rows))
    order = [f"{terminology}_{prompt}" for terminology in TERMINOLOGIES for prompt in PROMPTS]
    splits = [split for split in order if any((config, split) in rows for config in configs)]
    lines: list[list[object]] = [[f"`{split}`", *(rows.get((c, split), 0) for c in configs)] for split in splits]
    totals = Counter(dict.fromkeys(configs, 0))
    for (config, _), count in rows.items():
        totals[config] += count
    lines.append(["**all**", *(totals[config] for config in configs)])
    return table(["split", *(f"`{config}`" for config in configs)], lines)


def factor_table() -> str:
    """Every factor and its values, as rows of a Markdown table."""
    return "\n".join(f"| `{name}` | {', '.join(f'`{v}`' for v in values)} |" for name, values in FACTORS.items())


def _examples(record: Record) -> str:
    if not record.examples:
        return "None are shown: the images are not redistributed."
    texts = []
    for example in record.examples:
        question = "\n".join(f"> {line}" for line in example.question.splitlines())
        credit = f"{example.source}, {licence(example.licence).name}"
        texts.append(
            f"**`prompt`: `{example.prompt}`**\n\n![{example.alt}]({example.picture})\n\n{question}\n\n"
            f"Answer: **{example.answer}** <sub>({credit})</sub>"
        )
    return "\n\n".join(texts)


def _making(record: Record) -> str:
    lines = []
    for number, build in enumerate(record.builds, 1):
        settings, clarity = build.settings, build.settings.get("clarity", {})
        rows = sum(note.rows for key, note in build.splits.items() if key in record.questions)
        lines.append(
            [
                number,
                build.package,
                settings.get("seed"),
                rows,
                f"{settings.get('image_size')} px",
                f"{clarity.get('min_gap_mm'):g} mm",
                f"{clarity.get('min_area_mm2'):g} mm²",
            ]
        )
    header = ["build", "MIS-Ground", "seed", "questions", "images", "centroids apart at least", "visible from"]
    return (
        table(header, lines) + "\n\nAlong the asked axis the middle halves of the two structures do not overlap. "
        f"`{RECORD_NAME}` has all settings."
    )


def _sources(record: Record) -> str:
    lines = []
    for source in record.sources:
        known = licence(source.licence)
        name = f"[{known.name}]({known.url})" if known.url else known.name
        lines.append([f"`{source.name}`", source.volumes, name, source.citation, source.url])
    governing = most_restrictive(source.licence for source in record.sources)
    text = f"The most restrictive licence holds for the whole: **{governing.name}**. Each row states its own."
    if not governing.commercial and governing.share:
        text += " It forbids commercial use."
    return table(["source", "volumes", "licence", "citation", "where"], lines) + f"\n\n{text}"


def _limits(record: Record) -> str:
    text = []
    quarantined = sum(build.quarantined for build in record.builds)
    text.append(f"- {quarantined} case(s) could not be used; `quarantine.jsonl` says which and why.")
    left_out = sum((Counter(build.left_out) for build in record.builds), Counter())
    if left_out:
        kinds = "; ".join(f"{count:,} x {reason.rstrip('.')}" for reason, count in sorted(left_out.items()))
        text.append(f"- In the folders of the sources, but not part of any case: {kinds}.")
    lines = []
    for number, build in enumerate(record.builds, 1):
        for found in build.guessing_rates:
            shares = [f"{100 * share:.1f} %" for share in (found.chance, found.constant, found.first)]
            lines.append([number, found.terminology, found.questions, *shares, found.pairs])
    if lines:
        text.append("- Blind baselines, measured on the rows of each build:")
        header = ["build", "terminology", "questions", "chance", "one word for a split", "first option", "with inverse"]
        text.append("\n" + table(header, lines))
    text += [_audit(number, build.audit) for number, build in enumerate(record.builds, 1) if build.audit]
    return "\n".join(text)


def _audit(number: int, audit: Mapping[str, Any]) -> str:
    """The outcome of ``mis-ground check``, and the scores of blind baselines."""
    violated = [f"{name} ({count:,})" for name, count in audit["checks"].items() if count]
    verdict = f"violated are: {', '.join(violated)}." if violated else f"none of {len(audit['checks'])} is violated."
    text = f"\nBuild {number} was audited with `mis-ground check`: of its checks {verdict}"
    names = list(dict.fromkeys(name for guessers in audit["guessers"].values() for name in guessers))
    lines = []
    for cell, guessers in audit["guessers"].items():
        chance = next(iter(guessers.values()))[2]
        shares = [f"{100 * guessers[n][0]:.1f} ± {100 * guessers[n][1]:.1f}" if n in guessers else "" for n in names]
        lines.append([cell, f"{100 * chance:.1f}", *shares])
    if lines:
        text += " Accuracy of blind baselines in per cent, ± one standard error:\n\n"
        text += table(["questions", "chance", *(f"`{name}`" for name in names)], lines)
    return text


def table(header: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """A Markdown table; numbers get thousands separators."""
    body: list[Sequence[object]] = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in body)


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return re.sub(r"\s+", " ", text).replace("|", "\\|")
