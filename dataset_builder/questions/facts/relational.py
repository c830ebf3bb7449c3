"""How structures lie to each other whatever the direction: touching, between, nearer, larger, same side, enclosed."""

from collections.abc import Iterator

import numpy as np

from dataset_builder.imaging.measurements import Floats, contact_lengths, enclosures
from dataset_builder.questions.facts.directional import sides_of_midline
from dataset_builder.questions.facts.fact import ROUNDING_MM, Fact, Kind, Truth
from dataset_builder.questions.facts.scene import Scene


def relational_facts(scene: Scene) -> Iterator[Fact]:
    """Every clear relation between visible structures; of three, at most ``max_facts`` a kind."""
    if len(scene.visible) < 2:
        return
    yield from adjacency(scene)
    yield from between(scene)
    yield from nearer(scene)
    yield from size(scene)
    yield from same_side(scene)
    yield from enclosure(scene)


def adjacency(scene: Scene) -> Iterator[Fact]:
    """A touches B and is far from C."""
    contact = contact_lengths(scene.record.labels, scene.record.spacing, scene.values)
    touching = (contact >= scene.clarity.min_contact_mm - ROUNDING_MM) & scene.lesions.compared
    apart = (scene.distances >= scene.clarity.apart_mm - ROUNDING_MM) & (contact == 0) & scene.lesions.compared
    margin = np.where(touching, contact, scene.distances)
    yield from _matched(scene, "adjacency", ("adjacent", touching), ("apart", apart), margin)


def same_side(scene: Scene) -> Iterator[Fact]:
    """A lies on the same side of the midline as B and opposite to C; none of them is a midline structure."""
    found = sides_of_midline(scene)
    if found is None:
        return
    on_side, off = found
    product = on_side[:, None] * on_side[None, :] * scene.lesions.compared
    margin = np.minimum(off[:, None], off[None, :])
    yield from _matched(scene, "side", ("same side", product > 0), ("opposite sides", product < 0), margin)


def _matched(scene: Scene, kind: Kind, yes: tuple[str, Truth], no: tuple[str, Truth], margin: Floats) -> Iterator[Fact]:
    """Pairs of a symmetric relation and its opposite that share a structure; each two structures come once at most."""
    draw = scene.random(kind)
    (yes_word, holds), (no_word, free) = yes, (no[0], no[1].copy())
    np.fill_diagonal(free, False)
    together = [(int(i), int(j)) for i, j in np.argwhere(np.triu(holds, 1))]
    draw.shuffle(together)
    found = []
    for i, j in together[: scene.clarity.max_facts]:
        choices = [(a, b, int(c)) for a, b in ((i, j), (j, i)) for c in np.flatnonzero(free[a])]
        if choices:
            a, b, c = draw.choice(choices)
            free[a, c] = free[c, a] = False
            found.append((a, b, c))
    for a, b, c in sorted(found):
        names = scene.names
        items = (((names[a], names[b]), yes_word), ((names[a], names[c]), no_word))
        yield scene.pair("relational", kind, None, items, min(margin[a, b], margin[a, c]))


def _drawn(scene: Scene, purpose: str, holds: Truth) -> list[tuple[int, ...]]:
    """The places where an array is true, in order; if too many, as many as the seed draws."""
    places = np.argwhere(holds)
    if len(places) > scene.clarity.max_facts:
        places = places[sorted(scene.random(purpose).sample(range(len(places)), scene.clarity.max_facts))]
    return [tuple(int(i) for i in place) for place in places]


def between(scene: Scene) -> Iterator[Fact]:
    """A lies between B and C: in order along an axis of the patient, and nearly on the line from one to the other.

    Swapped, B lies outside of A and C: seen from B both lie the same way.
    """
    clarity = scene.clarity
    clearance = np.zeros((len(scene.visible),) * 3)  # [a, b, c]: the lesser gap along the axis where both are clear
    for axis in (0, 1):
        positions = scene.along(axis)
        beyond = positions.beyond(clarity) & scene.clearly_ahead(axis) & scene.lesions.compared
        gaps = positions.gaps()
        in_order = beyond[:, :, None] & beyond.T[:, None, :]  # a beyond b, c beyond a
        gap = np.where(in_order, np.minimum(gaps[:, :, None], gaps.T[:, None, :]), 0)
        clearance = np.maximum(clearance, np.maximum(gap, gap.transpose(0, 2, 1)))
    seen = _angles(scene.centroid) >= clarity.min_between_deg - 1e-6
    for where in (scene.point, scene.box):
        seen &= _angles(where) >= clarity.min_marker_between_deg - 1e-6
    ends_once = np.triu(scene.lesions.compared, 1)
    for a, b, c in _drawn(scene, "between", (clearance > 0) & seen & ends_once):
        middle, one, other = (scene.names[i] for i in (a, b, c))
        if scene.random(f"between {middle} {one} {other}").random() < 0.5:
            one, other = other, one
        items = (((middle, one, other), "between"), ((one, middle, other), "outside"))
        yield scene.pair("relational", "between", None, items, clearance[a, b, c])


def _angles(places: Floats) -> Floats:
    """The angle in degrees at which i sees j and k [n, n, n]; 0 where they fall on i."""
    away = places[None, :, :] - places[:, None, :]
    length = np.linalg.norm(away, axis=2)
    scale = length[:, :, None] * length[:, None, :]
    cosine = np.divide(np.einsum("ijx,ikx->ijk", away, away), scale, out=np.ones_like(scale), where=scale > 0)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def nearer(scene: Scene) -> Iterator[Fact]:
    """A is nearer to C than B is: by nearest pixels and by centroids; points and boxes do not say otherwise."""
    clarity = scene.clarity
    n = len(scene.visible)
    holds = np.ones((n, n, n), bool)  # [a, b, c]
    margin = np.full((n, n, n), np.inf)
    for distance in (scene.distances, _apart(scene.centroid)):
        gap = distance[None, :, :] - distance[:, None, :]
        ratio_kept = distance[None, :, :] >= distance[:, None, :] * clarity.min_ratio - ROUNDING_MM
        holds &= ratio_kept & (gap >= clarity.min_gap_mm - ROUNDING_MM)
        margin = np.minimum(margin, gap)
    for distance in (_apart(scene.point), _apart(scene.box)):
        holds &= distance[None, :, :] - distance[:, None, :] >= clarity.min_marker_gap_mm - ROUNDING_MM
    compared = scene.lesions.compared
    holds &= compared[:, :, None] & compared[:, None, :] & compared[None, :, :]
    index = np.arange(n)
    holds[index, :, index] = False  # nothing is near to itself
    holds[:, index, index] = False
    for a, b, c in _drawn(scene, "nearer", holds):
        one, other, to = (scene.names[i] for i in (a, b, c))
        items = (((one, other, to), "nearer"), ((other, one, to), "farther"))
        yield scene.pair("relational", "nearer", None, items if a < b else items[::-1], margin[a, b, c])


def _apart(places: Floats) -> Floats:
    """Distances between places [n, 2]: [n, n]."""
    return np.linalg.norm(places[:, None, :] - places[None, :, :], axis=2)


def size(scene: Scene) -> Iterator[Fact]:
    """A covers more of the slice than B; its box does, too. Of lesions the words alone would say it."""
    side, box_side = np.sqrt(scene.area), np.sqrt((scene.box_high - scene.box_low).prod(axis=1))
    larger = scene.area[:, None] >= scene.area[None, :] * scene.clarity.min_ratio - ROUNDING_MM
    larger &= box_side[:, None] - box_side[None, :] >= scene.clarity.min_marker_gap_mm - ROUNDING_MM
    np.fill_diagonal(larger, False)
    larger &= ~(scene.is_lesion[:, None] | scene.is_lesion[None, :])
    for i, j in np.argwhere(larger):
        a, b = scene.names[i], scene.names[j]
        items = (((a, b), "larger"), ((b, a), "smaller"))
        yield scene.pair("relational", "size", None, items if i < j else items[::-1], side[i] - side[j])


def enclosure(scene: Scene) -> Iterator[Fact]:
    """A lies wholly in a hole of B; neither is a lesion, which is known to lie in its organ."""
    record = scene.record
    found = enclosures(record.labels, record.spacing, scene.values, scene.box_low, scene.box_high)
    for inner, outer, thickness in sorted(found):
        if scene.is_lesion[inner] or scene.is_lesion[outer]:
            continue
        a, b = scene.names[inner], scene.names[outer]
        items = (((a, b), "enclosed by"), ((b, a), "encloses"))
        yield scene.pair("relational", "enclosure", None, items if inner < outer else items[::-1], thickness)
