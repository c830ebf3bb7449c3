"""The torso: a trunk from the neck to the upper thighs, arms raised, in standard anatomy."""

from dataset_builder.sources.phantoms.anatomy.abdomen import paint_abdomen
from dataset_builder.sources.phantoms.anatomy.chest import paint_chest, paint_lungs
from dataset_builder.sources.phantoms.anatomy.individual import Individual
from dataset_builder.sources.phantoms.anatomy.skeleton import paint_pelvis, paint_rib_cage, paint_shoulders, paint_spine
from dataset_builder.sources.phantoms.anatomy.wall import paint_couch, paint_muscles, paint_wall, skin_of
from dataset_builder.sources.phantoms.canvas import Canvas


def paint_torso(canvas: Canvas, body: Individual, *, couch: bool) -> None:
    """Paint the whole torso, what lies on top last; ``couch``: with the scanner's couch under it, as CT shows it."""
    skin = skin_of(body)
    if couch:
        paint_couch(canvas, skin)
    paint_wall(canvas, body, skin)
    paint_lungs(canvas, body)
    paint_muscles(canvas)
    paint_abdomen(canvas, body)
    paint_chest(canvas, body)
    paint_spine(canvas)
    paint_pelvis(canvas)
    paint_rib_cage(canvas)
    paint_shoulders(canvas)
