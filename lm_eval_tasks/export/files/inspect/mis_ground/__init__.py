from mis_ground.mis_ground import (
    mis_ground,
    mis_ground_blind,
    mis_ground_controls,
    mis_ground_locate,
    mis_ground_measure,
)

__all__ = [
    "mis_ground",
    "mis_ground_blind",
    "mis_ground_controls",
    "mis_ground_locate",
    "mis_ground_measure",
]
