"""The data set's card: ``dataset_card.md`` filled in with what the record of a folder says.

The parts of the text that a record decides stand between ``<!-- mis-ground:NAME -->`` marks. A card that its owner has
edited keeps the owner's words when more is pushed: only the marked parts and the lists of the metadata are renewed.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import datasets
import jinja2
from datasets.info import DatasetInfosDict
from datasets.splits import SplitDict, SplitInfo
from huggingface_hub import DatasetCard, DatasetCardData

from dataset_builder.core.factors import (
    CONVENTIONS,
    FRAMES,
    INPUTS,
    MODALITIES,
    PLANES,
    PROMPTS,
    REGISTERS,
    STACK_ORDERS,
    TERMINOLOGIES,
    TEST,
    VIEWS,
    Split,
)
from dataset_builder.core.settings import Settings
from dataset_builder.dataset.croissant import CROISSANT_NAME, croissant_text
from dataset_builder.dataset.licences import licence, most_restrictive
from dataset_builder.dataset.manifest import RECORD_NAME, SLICES, Key, Record, record_to_text
from dataset_builder.dataset.parquet import NOTHING_KNOWN, FileNote
from dataset_builder.dataset.summary import content_version, describe_build, file_hashes

CARD_NAME = "README.md"

ALL_FILES = "data/*/*.parquet"
"""What the config ``all`` reads: every question but those of a user's own configs."""

SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def template_path() -> Path:
    """The template: beside the packages in a source checkout, inside this package in a wheel."""
    inside = Path(__file__).with_name("dataset_card.md")
    return inside if inside.exists() else Path(__file__).parents[2] / "dataset_card.md"


def write_card(
    folder: Path,
    settings: Settings,
    splits: Mapping[Key, Sequence[str]],
    slices: int,
    volumes: Iterable[Mapping[str, Any]],
    structures: Sequence[str] = (),
    quarantined: int = 0,
    vocabulary: str = "",
    split: Split = TEST,
    known: Mapping[str, FileNote] = NOTHING_KNOWN,
) -> Path:
    """Write card, record, Croissant file and example pictures into a data set folder.

    Args:
        folder: the data set, its data files already there.
        settings: of the build.
        splits: files of each split in the order of their rows, as paths in the folder; those of the config ``slices``
            are the slice store.
        slices: number of slices.
        volumes: the store's note of each volume (source, licence, citation, url).
        structures: canonical names that are asked about.
        quarantined: number of cases that could not be used.
        vocabulary: text of the user's own structures, if any.
        split: what the data set is for.
        known: what was noted of the data files when they were written, by their paths in the folder.
    """
    build = describe_build(folder, splits, settings, volumes, structures, slices, quarantined, vocabulary, split, known)
    hashes = file_hashes(folder, known)
    record = Record((build,), content_version(hashes))
    (folder / RECORD_NAME).write_text(record_to_text(record), encoding="utf-8")
    (folder / CROISSANT_NAME).write_text(croissant_text(record, hashes), encoding="utf-8")
    path = folder / CARD_NAME
    path.write_text(make_card(record), encoding="utf-8")
    return path


def make_card(record: Record, place: str = "mis-ground") -> str:
    """The text of a data set's card.

    Args:
        record: what it holds.
        place: how ``load_dataset`` calls it: a folder, or the name of a repository.
    """
    # DatasetCard.from_template would do as well, but parse its own text again: most of the time of a build's end.
    template = jinja2.Template(template_path().read_text(encoding="utf-8"), undefined=jinja2.StrictUndefined)
    metadata = card_data(record).to_yaml()
    return template.render(card_data=metadata, factor_table=_factor_table(), **parts(record, place)) + "\n"


def card_data(record: Record) -> DatasetCardData:
    """The metadata of the card."""
    questions = sum(note.rows for note in record.questions.values())
    governing = most_restrictive(source.licence for source in record.sources)
    data = DatasetCardData(
        pretty_name="MIS-Ground",
        language="en",
        license=governing.hub,
        task_categories=["visual-question-answering", "image-text-to-text"],
        tags=["medical", "radiology", "ct", "mri", "spatial-reasoning", "benchmark", "mis-ground", "croissant"],
        size_categories=next((name for limit, name in SIZE_CATEGORIES if questions < limit), "n>1M"),
        configs=configs_of(record),
    )
    if governing.hub == "other":
        data["license_name"] = re.sub(r"[^a-z0-9]+", "-", governing.name.lower()).strip("-")
    DatasetInfosDict(_infos(record)).to_dataset_card_data(data)
    return data


def configs_of(record: Record) -> list[dict[str, Any]]:
    """The card's ``configs``: ``all`` reads every file of questions, each other config has the splits of the record.

    Each says the version of the content: ``load_dataset`` keeps a local folder in its cache under the folder's name and
    a hash of ``configs`` alone, and would show an earlier build of the same name without it.
    """
    files: dict[str, dict[str, tuple[str, ...]]] = {}
    for (config, split), note in record.splits.items():
        files.setdefault(config, {})[split] = note.files
    configs: list[dict[str, Any]] = []
    if everything := _all_of(record):
        split = record.build_of(everything[0]).split
        configs.append({"config_name": "all", "data_files": [{"split": split, "path": ALL_FILES}]})
    # The slices come last: they are for those who make questions, not for those who answer them.
    for config in sorted(files, key=lambda name: name == SLICES):
        data_files = [
            {"split": split, "path": paths[0] if len(paths) == 1 else list(paths)}
            for split, paths in files[config].items()
        ]
        configs.append({"config_name": config, "data_files": data_files})
    configs[0]["default"] = True
    return [config | {"description": f"content {record.content}"} for config in configs]


def _all_of(record: Record) -> list[Key]:
    """The splits that the config ``all`` holds."""
    return [key for key, note in record.questions.items() if all(fnmatch(file, ALL_FILES) for file in note.files)]


def _infos(record: Record) -> dict[str, datasets.DatasetInfo]:
    """Features and sizes of each config; ``load_dataset`` refuses a data set whose rows are not as many."""
    members: dict[str, dict[str, list[Key]]] = {}
    if everything := _all_of(record):
        members["all"] = {record.build_of(everything[0]).split: everything}
    for key in record.splits:
        members.setdefault(key[0], {})[key[1]] = [key]
    infos = {}
    for config, splits in members.items():
        notes = {split: [record.splits[key] for key in keys] for split, keys in splits.items()}
        sizes = {split: sum(note.memory_bytes for note in found) for split, found in notes.items()}
        split_infos = SplitDict()
        for split, found in notes.items():
            split_infos.add(SplitInfo(split, num_bytes=sizes[split], num_examples=sum(note.rows for note in found)))
        last = next(reversed(splits.values()))[-1]
        infos[config] = datasets.DatasetInfo(
            features=datasets.Features.from_dict(record.build_of(last).features_of(last)),
            splits=split_infos,
            download_size=sum(note.file_bytes for found in notes.values() for note in found),
            dataset_size=sum(sizes.values()),
        )
    return infos


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
> **This is a recipe: the pictures are left out**, since a licence does not let them be passed on. Whoever has the scans
> makes the data set from it, and every picture is checked: `mis-ground rebuild PLACE --source NAME:DIR`."""


def _use(record: Record, place: str) -> str:
    config, split = next(iter(record.questions))
    lines = ["```python", "from datasets import load_dataset", ""]
    if everything := _all_of(record):
        whole = record.build_of(everything[0]).split
        lines.append(f'{whole} = load_dataset("{place}", split="{whole}")')
    lines.append(f'cell = load_dataset("{place}", "{config}", split="{split}")')
    for config, split in record.splits:
        if config == SLICES:
            lines.append(
                f'slices = load_dataset("{place}", "slices", split="{split}")  # grey images, label maps, geometry'
            )
    if all(build.split != TEST for build in record.builds):
        return "\n".join([*lines, "```", "", "To train models on: no subject of it is in the test split."])
    score = f"MIS_GROUND_DATASET={place} lm_eval --model hf-multimodal --model_args pretrained=MODEL"
    lines += [
        "```",
        "",
        "Score a model with lm-evaluation-harness:",
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
    if _all_of(record):
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


def _factor_table() -> str:
    factors = {
        "modality": MODALITIES,
        "plane": PLANES,
        "terminology": TERMINOLOGIES,
        "prompt": PROMPTS,
        "register": REGISTERS,
        "convention": CONVENTIONS,
        "frame": FRAMES,
        "input": INPUTS,
        "view": VIEWS,
        "stack_order": STACK_ORDERS,
    }
    return "\n".join(f"| `{name}` | {', '.join(f'`{v}`' for v in values)} |" for name, values in factors.items())


def _examples(record: Record) -> str:
    if not record.examples:
        return "None are shown: the pictures are not passed on."
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
    header = ["build", "MIS-Ground", "seed", "questions", "pictures", "centroids apart at least", "visible from"]
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
    lines = []
    for number, build in enumerate(record.builds, 1):
        for found in build.guessing_rates:
            shares = [f"{100 * share:.1f} %" for share in (found.chance, found.constant, found.first)]
            lines.append([number, found.terminology, found.questions, *shares, found.pairs])
    if lines:
        text.append("- What can be had without looking, measured on the rows of each build:")
        header = ["build", "terminology", "questions", "chance", "one word for a split", "first option", "with inverse"]
        text.append("\n" + table(header, lines))
    text += [_audit(number, build.audit) for number, build in enumerate(record.builds, 1) if build.audit]
    return "\n".join(text)


def _audit(number: int, audit: Mapping[str, Any]) -> str:
    """The outcome of ``mis-ground check``, and what guessers that see no picture score."""
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
        text += " Accuracy in per cent of guessers that see no picture, ± one standard error:\n\n"
        text += table(["questions", "chance", *(f"`{name}`" for name in names)], lines)
    return text


def table(header: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    """A Markdown table; numbers get thousands separators."""
    body: list[Sequence[object]] = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in body)


def _cell(value: object) -> str:
    text = f"{value:,}" if isinstance(value, int) else str(value)
    return re.sub(r"\s+", " ", text).replace("|", "\\|")


# ------------------------------------------------------------------------------------------------ a card that is there


def merge_card(written: str, record: Record, place: str) -> str:
    """A card that its owner may have edited, brought up to date.

    The owner's text and metadata stay. Renewed are the marked parts, the configs and sizes of the record's splits, and
    what the sources decide (licence, size category). Configs that are not MIS-Ground's stay as they are.

    Args:
        written: the card as it is.
        record: of the whole data set.
        place: how ``load_dataset`` calls it.
    """
    old = DatasetCard(written, ignore_metadata_errors=True)
    before, now = old.data.to_dict(), card_data(record).to_dict()
    merged = before | now
    for name in ("configs", "dataset_info"):
        merged[name] = _merge_named(_listed(before.get(name)), _listed(now.get(name)))
    for name in ("tags", "task_categories"):
        merged[name] = _union(before.get(name), now.get(name))
    for name in ("language", "pretty_name"):
        merged[name] = before.get(name) or now[name]
    if merged["license"] != "other":
        merged.pop("license_name", None)
    old.data = DatasetCardData(**merged)
    text = str(old)
    for name, part in parts(record, place).items():
        pattern = rf"(<!-- mis-ground:{name} -->\n).*?(\n<!-- /mis-ground:{name} -->)"
        text = re.sub(pattern, lambda found, part=part: found[1] + part + found[2], text, flags=re.DOTALL)  # type: ignore[misc]
    return text


def _listed(value: Any) -> list[dict[str, Any]]:
    if not value:
        return []
    return [{"config_name": "default"} | value] if isinstance(value, dict) else list(value)


def _merge_named(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries by config name: those of now, then the others of before, which are nobody's default any more."""
    names = {entry["config_name"] for entry in now}
    others = [
        {k: v for k, v in entry.items() if k != "default"} for entry in before if entry["config_name"] not in names
    ]
    return now + others


def _union(before: Any, now: Any) -> list[str]:
    values = [*([before] if isinstance(before, str) else before or []), *([now] if isinstance(now, str) else now or [])]
    return list(dict.fromkeys(values))
