"""How large the published mixture is: ``python tests/benchmarks/paper_size.py``. Prints Markdown tables.

Simulates ``mis-ground build --preset paper`` on as many volumes as were published, torsos in CT and knees in MR in the
published proportion. Everything decides as in a build (which slices, which facts, which questions), but no image is
drawn, and a few phantoms stand for all: each is given many names, and the name decides every draw.
"""

import argparse
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace

from dataset_builder.building.rows import volume_questions
from dataset_builder.core.factors import MODALITIES, PLANES, PROMPTS, TERMINOLOGIES, cell_of, config_name, split_name
from dataset_builder.core.presets import (
    PRESETS,
    PUBLISHED_CT_SHARE,
    PUBLISHED_QUESTIONS,
    PUBLISHED_SLICES,
    PUBLISHED_VOLUMES,
)
from dataset_builder.core.settings import Settings
from dataset_builder.imaging.volume import Volume
from dataset_builder.questions.quotas import settings_of_volumes
from dataset_builder.slices.selection import SliceRecord, choose_slices, cut
from dataset_builder.slices.stacks import choose_stacks, cut_stack
from dataset_builder.sources.phantom import Phantoms
from dataset_builder.vocabulary import structures

SOURCE = "phantom"
CT, KNEES = (0,), (1, 3)
"""Phantoms of these numbers, counted by four, are torsos in CT and knees in MR."""


@dataclass
class Size:
    """What was counted.

    Args:
        rows: by (config, split).
        structures: canonical names asked about, by modality.
    """

    rows: Counter[tuple[str, str]] = field(default_factory=Counter)
    structures: dict[str, set[str]] = field(default_factory=lambda: {modality: set() for modality in MODALITIES})
    slices: int = 0
    questions_of_volume: Counter[int] = field(default_factory=Counter)

    def add(self, other: "Size") -> None:
        """Count another part."""
        self.rows += other.rows
        self.slices += other.slices
        self.questions_of_volume += other.questions_of_volume
        for modality, names in other.structures.items():
            self.structures[modality] |= names


def records_of(volume: Volume, settings: Settings) -> list[SliceRecord]:
    """What a slice store would hold of a volume."""
    words = structures()
    chosen = choose_slices(volume, settings.planes, settings.slices_per_volume, settings.seed)
    records = [cut(volume, plane, index, words) for plane, index in chosen]
    runs = choose_stacks(volume, settings.planes, settings.stacks_per_volume, settings.stack_size, settings.seed)
    return records + [record for plane, indices in runs for record in cut_stack(volume, plane, indices, words)]


def measure(number: int, named: list[tuple[str, Settings | None]]) -> Size:
    """Count the rows about one phantom under many names, each with the settings for the volume of that name."""
    source = Phantoms(number + 1)
    body = source.read(list(source.cases())[number])
    size = Size()
    for subject, settings in named:
        if settings is None:
            continue
        records = records_of(replace(body, subject=subject), settings)
        size.slices += sum(not record.stack for record in records)
        of_slices = 0
        for question, _ in volume_questions(records, settings, structures()):
            cell = cell_of(
                question.modality, question.plane, question.terminology, question.prompt, question.input, question.view
            )
            size.rows[cell] += 1
            size.structures[question.modality] |= set(question.structures)
            of_slices += question.input == "slice"
        size.questions_of_volume[of_slices] += 1
    return size


def simulate(volumes: int, ct_share: float, bodies: int, settings: Settings, num_proc: int) -> Size:
    """Count the rows of a build.

    Args:
        volumes: how many.
        ct_share: of the volumes.
        bodies: distinct phantoms of each modality.
    """
    ct = round(ct_share * volumes)
    named = [(f"{'ct' if number < ct else 'mri'}_{number:05d}", number < ct) for number in range(volumes)]
    own = settings_of_volumes([(f"{SOURCE}/{name}", "ct" if is_ct else "mri") for name, is_ct in named], settings)
    of_body: dict[int, list[tuple[str, Settings | None]]] = {}
    for position, ((name, is_ct), of_volume) in enumerate(zip(named, own, strict=True)):
        kinds = CT if is_ct else KNEES
        turn = position % bodies
        body = 4 * (turn // len(kinds)) + kinds[turn % len(kinds)]
        of_body.setdefault(body, []).append((name, of_volume))
    size = Size()
    with ProcessPoolExecutor(num_proc) as pool:
        for part in pool.map(measure, of_body, of_body.values()):
            size.add(part)
    return size


def report(size: Size, volumes: int, ct: int) -> Iterator[str]:
    """The tables."""
    configs = [config_name(modality, plane) for modality in MODALITIES for plane in PLANES]
    yield "| split | " + " | ".join((*configs, "all")) + " |"
    yield "| --- " + "| ---: " * (len(configs) + 1) + "|"
    splits = [split_name(terminology, prompt) for terminology in TERMINOLOGIES for prompt in PROMPTS]
    for split in splits:
        counts = [size.rows[config, split] for config in configs]
        yield f"| {split} | " + " | ".join(f"{count:,}" for count in (*counts, sum(counts))) + " |"
    totals = [sum(size.rows[config, split] for split in splits) for config in configs]
    yield "| **all** | " + " | ".join(f"{count:,}" for count in (*totals, sum(totals))) + " |"
    of_slices, of_ct = sum(totals), sum(totals[: len(PLANES)])
    lines = [
        ("volumes", f"{volumes:,} ({ct:,} CT)", f"{PUBLISHED_VOLUMES:,} (about {PUBLISHED_CT_SHARE:.0%} CT)"),
        ("slices", f"{size.slices:,}", f"{PUBLISHED_SLICES:,}"),
        ("questions about slices", f"{of_slices:,}", f"{PUBLISHED_QUESTIONS:,}"),
        ("of these about CT", f"{of_ct:,} ({of_ct / of_slices:.1%})", ""),
        ("a volume", f"{of_slices / volumes:.2f}", f"{PUBLISHED_QUESTIONS / PUBLISHED_VOLUMES:.2f}"),
        ("structures asked about, CT and MR", " and ".join(str(len(s)) for s in size.structures.values()), "67 and 10"),
        ("on top: questions across slices", f"{size.rows['stack', 'test']:,}", "not told apart"),
        ("on top: blank canvases", f"{size.rows['blank', 'test']:,}", "not told apart"),
    ]
    yield ""
    yield "| | here, simulated | published |"
    yield "| --- | ---: | ---: |"
    yield from (f"| {name} | {here} | {published} |" for name, here, published in lines)
    yield ""
    yield "Volumes by their number of questions about slices: " + ", ".join(
        f"{questions}: {count:,}" for questions, count in sorted(size.questions_of_volume.items())
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--volumes", type=int, default=PUBLISHED_VOLUMES)
    parser.add_argument("--ct-share", type=float, default=PUBLISHED_CT_SHARE, help="of the volumes")
    parser.add_argument("--bodies", type=int, default=12, help="distinct phantoms of each modality")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--num-proc", type=int, default=2)
    given = parser.parse_args()
    settings = Settings(**PRESETS["paper"], seed=given.seed)
    start = time.perf_counter()
    size = simulate(given.volumes, given.ct_share, given.bodies, settings, given.num_proc)
    print("\n".join(report(size, given.volumes, round(given.ct_share * given.volumes))))
    print(f"\nTook {time.perf_counter() - start:.0f} s.")


if __name__ == "__main__":
    main()
