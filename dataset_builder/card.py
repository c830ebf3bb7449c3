"""The data set's card: ``dataset_card.md`` filled in with what a build holds."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCard, DatasetCardData

from dataset_builder.factors import (
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
)
from dataset_builder.rows import VERSION
from dataset_builder.settings import Settings

HUB_LICENCES = {
    "apache-2.0": "apache-2.0",
    "cc-by-4.0": "cc-by-4.0",
    "cc-by-nc-4.0": "cc-by-nc-4.0",
    "cc0-1.0": "cc0-1.0",
}
SIZE_CATEGORIES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def template_path() -> Path:
    """The template: beside the packages in a source checkout, inside this package in a wheel."""
    inside = Path(__file__).with_name("dataset_card.md")
    return inside if inside.exists() else Path(__file__).parent.parent / "dataset_card.md"


def content_digest(folder: Path) -> str:
    """What the data files hold, as sixteen hexadecimal digits."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.parquet")):
        with path.open("rb") as file:
            digest.update(f"{path.relative_to(folder).as_posix()}\n".encode())
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


def configs_of(rows: Mapping[tuple[str, str], int], content: str = "") -> list[dict[str, Any]]:
    """The card's ``configs``: ``all`` reads every file, each modality and plane has a split per cell.

    Args:
        rows: number of rows by (config, split).
        content: digest of the data files. ``load_dataset`` keeps a local folder in its cache under the folder's name
            and a hash of ``configs`` alone; without the digest it would show an earlier build of the same name.
    """
    configs: list[dict[str, Any]] = [
        {"config_name": "all", "default": True, "data_files": [{"split": "test", "path": "data/*/*.parquet"}]}
    ]
    for config in dict.fromkeys(config for config, _ in rows):
        files = [
            {"split": split, "path": f"data/{config}/{split}.parquet"}
            for of_config, split in rows
            if of_config == config
        ]
        configs.append({"config_name": config, "data_files": files})
    configs.append({"config_name": "slices", "data_files": [{"split": "test", "path": "slices/test.parquet"}]})
    return [config | {"description": f"content {content}"} for config in configs]


def write_card(
    folder: Path,
    settings: Settings,
    rows: Mapping[tuple[str, str], int],
    slices: int,
    volumes: Sequence[Mapping[str, Any]],
    structures: Sequence[str] = (),
    quarantined: int = 0,
) -> Path:
    """Write ``README.md`` into a data set folder.

    Args:
        folder: the data set, its data files already there.
        settings: of the build.
        rows: number of rows by (config, split).
        slices: number of slices.
        volumes: the store's note of each volume (source, licence, citation, url).
        structures: canonical names that are asked about.
        quarantined: number of cases that could not be used.
    """
    total = sum(rows.values())
    licences = sorted({str(volume.get("licence", "")) for volume in volumes})
    known = sorted({HUB_LICENCES.get(licence.lower(), "other") for licence in licences})
    data = DatasetCardData(
        pretty_name="MIS-Ground",
        language="en",
        license=known[0] if len(known) == 1 else known,
        task_categories=["visual-question-answering", "image-text-to-text"],
        tags=["medical", "radiology", "ct", "mri", "spatial-reasoning", "benchmark", "mis-ground"],
        size_categories=next((name for limit, name in SIZE_CATEGORIES if total < limit), "n>1M"),
        configs=configs_of(rows, content_digest(folder)),
    )
    first_config, first_split = next(iter(rows))
    card = DatasetCard.from_template(
        data,
        template_path=str(template_path()),
        package_version=_package_version(),
        data_version=VERSION,
        seed=settings.seed,
        total_rows=total,
        slices=slices,
        volumes=len(volumes),
        example_config=first_config,
        example_split=first_split,
        counts_table=_counts_table(rows),
        factor_table=_factor_table(),
        image_size=settings.image_size,
        min_gap_mm=f"{settings.fairness.min_gap_mm:g}",
        min_area_mm2=f"{settings.fairness.min_area_mm2:g}",
        structures_text=f"{len(structures)} structures are asked about: {', '.join(structures)}." if structures else "",
        sources_table=_sources_table(volumes),
        quarantined=quarantined,
        limits_text="One slice at a time; relations across slices and blank-canvas controls are not in this version.",
    )
    path = folder / "README.md"
    path.write_text(str(card), encoding="utf-8")
    return path


def _package_version() -> str:
    try:
        return metadata.version("mis-ground")
    except metadata.PackageNotFoundError:
        return "(source checkout)"


def _table(header: Sequence[str], lines: Sequence[Sequence[object]]) -> str:
    body = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in body)


def _counts_table(rows: Mapping[tuple[str, str], int]) -> str:
    configs = list(dict.fromkeys(config for config, _ in rows))
    splits = list(dict.fromkeys(split for _, split in sorted(rows, key=lambda cell: _split_order(cell[1]))))
    lines: list[list[object]] = [[f"`{split}`", *(rows.get((c, split), 0) for c in configs)] for split in splits]
    totals = Counter(dict.fromkeys(configs, 0))
    for (config, _), count in rows.items():
        totals[config] += count
    lines.append(["**all**", *(totals[config] for config in configs)])
    return _table(["split", *(f"`{config}`" for config in configs)], lines)


def _split_order(split: str) -> tuple[int, int]:
    if split == TEST:
        return len(TERMINOLOGIES), 0
    terminology, prompt = split.split("_", 1)
    return [*TERMINOLOGIES].index(terminology), [*PROMPTS].index(prompt)  # type: ignore[arg-type]


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


def _sources_table(volumes: Sequence[Mapping[str, Any]]) -> str:
    count = Counter((v.get("source"), v.get("licence"), v.get("citation"), v.get("url")) for v in volumes)
    lines = [[f"`{s}`", n, licence, citation, url] for (s, licence, citation, url), n in sorted(count.items(), key=str)]
    return _table(["source", "volumes", "licence", "citation", "where"], lines)
