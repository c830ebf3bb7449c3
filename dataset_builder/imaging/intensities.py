"""Whether the values of an image fit its modality.

CT is in Hounsfield units: air is near -1000, fat near -100, soft tissue between 0 and 100, bone above. Files lose that:
the intercept is dropped (all values 1024 too high), values are scaled to 0..1, to 8 bit, to zero mean; a window is cut
out; MR is called CT. Only what is certainly wrong is refused; what is odd is noted. MR has no scale, so that little can
be said of it. All limits are in ``vocabulary/acceptance.yaml``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from dataset_builder.core.errors import IntensityError
from dataset_builder.core.factors import Modality
from dataset_builder.vocabulary.limits import acceptance, of_tissue

SAMPLES = 200_000
"""How many voxels are looked at, from a regular subset."""

_REMEDY = (
    "Convert the scan again from its DICOM files, with their rescale slope and intercept; if it is not a CT, say so in "
    "the source's description. If the values are right as they are, add --trust-values."
)


def subsample(image: npt.NDArray, labels: npt.NDArray, count: int = SAMPLES) -> tuple[npt.NDArray, npt.NDArray]:
    """About this many voxels of a volume, regularly spaced: values and labels, flat."""
    step = max(1, int((image.size / count) ** (1 / 3)))
    steps = [step if size > 2 * step else 1 for size in image.shape]
    where = tuple(slice(each // 2, None, each) for each in steps)
    return image[where].ravel(), labels[where].ravel()


@dataclass(frozen=True, eq=False)
class Values:
    """A subsample of an image, without the padding outside of what was measured.

    Args:
        values: [n].
        labels: [n].
        names: label value -> structure.
    """

    values: npt.NDArray
    labels: npt.NDArray
    names: Mapping[int, str]

    @cached_property
    def limits(self) -> Mapping[str, Any]:
        """Section ``ct`` of the table."""
        return acceptance()["ct"]

    def share(self, low: float, high: float = np.inf) -> float:
        """Of the values that lie between two."""
        return float(((self.values >= low) & (self.values <= high)).mean())

    @cached_property
    def _counts(self) -> tuple[npt.NDArray, npt.NDArray]:
        values, counts = np.unique(self.values, return_counts=True)
        return values, counts

    @cached_property
    def distinct(self) -> int:
        """How many different values there are."""
        return len(self._counts[0])

    @cached_property
    def commonest(self) -> float:
        """The most frequent value."""
        return float(self._counts[0][self._counts[1].argmax()])

    @cached_property
    def rest(self) -> npt.NDArray:
        """The values without the commonest one, which fills the background."""
        rest = self.values[self.values != self.commonest]
        return rest if len(rest) >= 100 else self.values

    @cached_property
    def range(self) -> float:
        """Between the 0.5th and 99.5th percentile, with or without the background, whichever is larger."""
        return max(float(np.ptp(np.percentile(part, [0.5, 99.5]))) for part in (self.values, self.rest))

    @property
    def lowest(self) -> float:
        """The least value."""
        return float(self._counts[0][0])

    @property
    def highest(self) -> float:
        """The greatest value."""
        return float(self._counts[0][-1])

    def share_at(self, end: int) -> float:
        """Share of voxels with exactly the lowest (0) or highest (-1) value."""
        return float(self._counts[1][end] / len(self.values))

    @cached_property
    def peak(self) -> float | None:
        """The commonest value of the body: of those above -600, in steps of 20."""
        body = self.values[(self.values > -600) & (self.values < 4000)]
        if not len(body):
            return None
        counts, edges = np.histogram(body, np.arange(-600, 4020, 20))
        return float(edges[counts.argmax()] + 10)

    def median(self, tissue: str) -> float | None:
        """Over the voxels of all structures of a tissue; ``None`` if there are too few."""
        wanted = set(of_tissue(tissue, self.names.values()))
        found = self.values[np.isin(self.labels, [value for value, name in self.names.items() if name in wanted])]
        return float(np.median(found)) if len(found) >= self.limits["least_voxels"] else None

    def medians(self, tissue: str) -> Iterator[tuple[str, float]]:
        """Of each structure of a tissue that has enough voxels."""
        wanted = set(of_tissue(tissue, self.names.values()))
        for value, name in self.names.items():
            if name in wanted:
                found = self.values[self.labels == value]
                if len(found) >= self.limits["least_voxels"]:
                    yield name, float(np.median(found))

    @property
    def reported(self) -> str:
        """The range, for messages."""
        low, high = np.percentile(self.values, [0.5, 99.5])
        return f"values {self.lowest:.5g} to {self.highest:.5g}, 99 % of them {low:.5g} to {high:.5g}"


def check_intensities(
    image: npt.NDArray, labels: npt.NDArray, names: Mapping[int, str], modality: Modality
) -> list[str]:
    """Refuse values that do not fit the modality.

    Args:
        image: [I, J, K].
        labels: of the same shape; 0 = nothing.
        names: label value -> structure name.
        modality: the stated modality.

    Returns:
        What is odd but possible.

    Raises:
        IntensityError: names the range that was found and what to do.
    """
    values, of = subsample(image, labels)
    measured = values > acceptance()["ct"]["padding_below"] if modality == "ct" else np.ones(len(values), bool)
    known = Values(values[measured], of[measured], names)
    if not len(known.values) or known.lowest == known.highest:
        raise IntensityError(
            "The image has one value only.",
            value=f"{values[0]:.5g}",
            remedy="Convert the scan again, or leave the case out.",
        )
    if modality == "mri":
        _check_no_ct(known)
        return []
    _check_range(known)
    warnings = _check_zero(known)
    _check_cut(known)
    _check_offset(known)
    _check_tissues(known)
    return warnings + list(_oddities(known))


def _refuse(problem: str, known: Values, found: str = "") -> IntensityError:
    return IntensityError(problem, value=found or known.reported, remedy=_REMEDY)


def _check_range(known: Values) -> None:
    if known.range >= known.limits["least_range"]:
        return
    mean, spread = float(known.values.mean()), float(known.values.std())
    if known.lowest >= 0 and known.highest <= 1.001:
        how = "they were scaled to 0..1"
    elif known.lowest >= -1.001 and known.highest <= 1.001:
        how = "they were scaled to -1..1"
    elif abs(mean) < 0.2 and abs(spread - 1) < 0.2:
        how = "they were scaled to mean 0 and standard deviation 1"
    else:
        how = "they span less than the noise of one tissue"
    raise _refuse(f"The CT is not in Hounsfield units: {how}.", known)


def _check_zero(known: Values) -> list[str]:
    """Air and fat lie below 0: where nothing does, the intercept is lost, or it is not a CT."""
    rest = known.rest
    if float((rest < known.limits["negative"]).mean()) >= known.limits["negative_share"]:
        return []
    low, high = np.percentile(rest, [0.5, 99.5])
    solid = known.median("solid")
    background = known.share_at(0) >= 0.02
    saturated = known.highest <= 255 and known.share_at(-1) >= known.limits["cut_share"]
    near = solid is None or known.limits["solid"][0] <= solid <= known.limits["solid"][1]
    # Cropped to the inside of a body: neither a background nor values that only other images have.
    cropped = not background and not saturated and near and known.peak is not None and -100 <= known.peak <= 160
    # An organ that was cut out, with 0 around it: little else than the organ is left.
    labelled = float((known.labels[known.values != known.commonest] > 0).mean())
    cut_out = background and known.lowest == 0 and high < 200 and low < 90 and labelled > 0.8 and near
    if cropped or cut_out:
        return ["No value lies below 0: there is neither air nor fat to recognise Hounsfield units by."]
    if known.highest <= 255:
        how = "they look like 8-bit grey values"
    elif known.peak is not None and (900 <= (solid or 0) <= 1400 or _share(rest, 900, 1300) > 0.15):
        how = "they look like Hounsfield units + 1024, so that air is near 0: the intercept of -1024 is lost"
    else:
        how = "air and fat are missing; the intercept is lost, or this is MR"
    raise _refuse(f"The CT is not in Hounsfield units: no value lies below 0, {how}.", known)


def _share(values: npt.NDArray, low: float, high: float) -> float:
    return float(((values >= low) & (values <= high)).mean())


def _check_cut(known: Values) -> None:
    """A window that was cut out leaves many voxels of exactly its lowest value, and no air."""
    limits = known.limits
    air = acceptance()["ct"]["air"]
    if known.lowest <= air[1] or known.distinct < limits["cut_distinct"]:
        return
    if known.share_at(0) >= limits["cut_share"] and known.lowest < 0:
        raise _refuse(
            f"The CT was cut off at {known.lowest:.5g}: many voxels have this value, and air near -1000 is missing.",
            known,
        )
    frame = known.share(-15, 15)
    rest = known.rest
    if frame >= 0.25 and -15 <= known.commonest <= 15 and float((rest < -30).mean()) < 0.02 and known.highest > 200:
        raise _refuse("The CT is not in Hounsfield units: its background is near 0, not near -1000.", known)


def _check_offset(known: Values) -> None:
    low, high = known.limits["tissue_peak"]
    if known.share(-600, 4000) < 0.001 or known.peak is None:
        raise _refuse(
            "The CT is not in Hounsfield units: nothing is as bright as fat or soft tissue; the intercept was applied "
            "twice, or the scan shows air only.",
            known,
        )
    if not low <= known.peak <= high:
        raise _refuse(
            f"The CT is not in Hounsfield units: the most frequent value of the body is {known.peak:.0f}.",
            known,
        )


def _check_tissues(known: Values) -> None:
    """What the labelled structures show."""
    limits = known.limits
    airy = [(n, m) for t in ("solid", "vessel") for n, m in known.medians(t) if m < limits["in_air"]]
    if airy:
        shown = ", ".join(f"{name} {median:.0f}" for name, median in airy[:4])
        raise IntensityError(
            "Solid structures are labelled where the image shows air or background.",
            value=f"median values: {shown}",
            remedy="Part of the scan is empty, or the labels belong to another scan: crop both to what was scanned, or "
            "leave the case out.",
        )
    outside = []
    count = 0
    for tissue in ("solid", "vessel"):
        low, high = limits[tissue]
        for name, median in known.medians(tissue):
            count += 1
            if not low <= median <= high:
                outside.append(f"{name} {median:.0f}")
    if len(outside) * 2 > count:
        raise _refuse(
            "The CT is not in Hounsfield units: solid organs have impossible values.",
            known,
            f"median values: {', '.join(outside[:4])}",
        )
    lung, liver, bone, muscle = (known.median(tissue) for tissue in ("lung", "liver", "bone", "muscle"))
    pairs = []
    if lung is not None and liver is not None and lung > liver - limits["lung_under_liver"]:
        pairs.append(f"lungs {lung:.0f}, liver {liver:.0f}")
    if bone is not None and muscle is not None and bone < muscle - limits["bone_under_muscle"]:
        pairs.append(f"bones {bone:.0f}, muscles {muscle:.0f}")
    if bone is not None and bone < limits["bone_below"]:
        pairs.append(f"bones {bone:.0f}")
    if pairs:
        raise IntensityError(
            "The labels do not fit the image: its values under them are those of other tissues.",
            value=f"median values: {'; '.join(pairs)}",
            remedy="Check that the labels belong to this scan and lie on it correctly; if the values are right as "
            "they are, say so with --trust-values.",
        )


def _oddities(known: Values) -> Iterator[str]:
    lung = known.median("lung")
    if lung is not None and lung > known.limits["lung_above"]:
        yield f"The lungs have a median value of {lung:.0f} HU, which means lungs without air."
    if known.share_at(-1) >= known.limits["cut_share"] and 100 < known.highest < 700 and known.distinct >= 40:
        yield f"The values are cut off at {known.highest:.0f} HU: bone cannot be distinguished from contrast agent."


def _check_no_ct(known: Values) -> None:
    """CT under the name of MR is recognised where air, soft tissue and labels all have their Hounsfield units."""
    solid = known.median("solid")
    lung = known.median("lung")
    air = known.share(-1100, -900)
    gap = known.share(-1500, -1101) - float((known.values == known.lowest).mean()) * (known.lowest < -1100)
    if air < 0.02 or gap > 0.1 * air or known.peak is None or not -150 <= known.peak <= 150:
        return
    labelled = (solid is not None and -50 <= solid <= 250) or (lung is not None and -950 <= lung <= -500)
    if labelled and known.share(-150, 250) > 0.02:
        raise IntensityError(
            "The MR has the values of a CT: air near -1000, soft tissue near 50.",
            value=known.reported,
            remedy="Say in the source's description that it is CT; if it is MR, add --trust-values.",
        )
