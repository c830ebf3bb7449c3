"""Where a marker's pixels are in a rendered image."""

import numpy as np

from dataset_builder.pictures.render import MARKER_COLOURS


def of_colour(picture, letter):
    """bool [S, S]: pixels with exactly the colour of a letter's marker."""
    return (picture == MARKER_COLOURS[letter]).all(axis=2)


def centre_of(mask):
    """Centre (x, y) of a mask's extent."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([(columns[0] + columns[-1] + 1) / 2, (rows[0] + rows[-1] + 1) / 2])
