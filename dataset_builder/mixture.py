"""How many questions to ask of each volume, so that CT and MR come in a given proportion.

Every volume of the rarer kind, measured by that proportion, is asked as much as the settings allow; those of the other
kind share what is left to them evenly, by pairs. All volumes stay in: few questions about many volumes say more than
many about few.
"""

from collections.abc import Sequence
from dataclasses import replace

from dataset_builder.factors import Input, Modality
from dataset_builder.seeding import digest
from dataset_builder.settings import Settings


def settings_of_volumes(volumes: Sequence[tuple[str, Modality]], settings: Settings) -> list[Settings | None]:
    """The settings for each volume; ``None`` for one of which nothing is asked.

    Args:
        volumes: what names the volume ("source/subject") and its modality, of all volumes of the build.
        settings: of the build; without ``ct_share``, or where one modality is all there is, they hold for every volume.
    """
    if settings.ct_share is None or len({modality for _, modality in volumes}) < 2:
        return [settings] * len(volumes)
    of_slices = _quotas(volumes, settings.questions_per_volume or 0, settings.ct_share, settings.seed)
    of_stacks = _quotas(volumes, settings.stack_questions_per_volume or 0, settings.ct_share, settings.seed)
    return [_limited(settings, slices, stacks) for slices, stacks in zip(of_slices, of_stacks, strict=True)]


def _limited(settings: Settings, slices: int, stacks: int) -> Settings | None:
    dropped: set[Input] = {"slice", "blank"} if not slices else set()
    dropped |= {"stack"} if not stacks else set()
    inputs = tuple(kind for kind in settings.inputs if kind not in dropped)
    if not inputs:
        return None
    return replace(
        settings,
        inputs=inputs,
        questions_per_volume=slices or settings.questions_per_volume,
        stack_questions_per_volume=stacks or settings.stack_questions_per_volume,
    )


def _quotas(volumes: Sequence[tuple[str, Modality]], most: int, ct_share: float, seed: int) -> list[int]:
    """Rows of each volume, none more than ``most``, together as many as the proportion of the modalities allows."""
    share = {"ct": ct_share, "mri": 1 - ct_share}
    count = {kind: sum(modality == kind for _, modality in volumes) for kind in share}
    total = min(most * count[kind] / share[kind] for kind in share)
    quota: dict[str, int] = {}
    for kind in share:
        # Who gets a pair more is drawn, and does not turn on who else is there.
        names = sorted(
            (name for name, modality in volumes if modality == kind), key=lambda name: digest("mixture", seed, name)
        )
        quota |= zip(names, _spread(total * share[kind], len(names), most), strict=True)
    return [quota[name] for name, _ in volumes]


def _spread(total: float, volumes: int, most: int) -> list[int]:
    """``total`` rows over so many volumes: evenly, by pairs, the first ones getting a pair more."""
    quota, left = [0] * volumes, total
    while quota[-1] < most:
        step = min(2, most - quota[-1])
        more = min(volumes, round(left / step))
        quota[:more] = [rows + step for rows in quota[:more]]
        if more < volumes:
            break
        left -= more * step
    return quota
