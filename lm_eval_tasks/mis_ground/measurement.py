"""The scores of numbers: lengths, angles and ratios."""

import math

RELATIVE_ACCURACIES = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""0.50 to 0.95 in steps of 0.05: the thresholds of the mean relative accuracy in Yang et al., "Thinking in Space"
(VSI-Bench), arXiv 2412.14171, section 3.2."""


def mean_relative_accuracy(said: float, truth: float) -> float:
    """The share of the thresholds t for which the relative error is below 1 - t.

    >>> mean_relative_accuracy(42.0, 42.0), mean_relative_accuracy(112.0, 100.0), mean_relative_accuracy(200.0, 100.0)
    (1.0, 0.8, 0.0)
    """
    error = relative_error(said, truth)
    # Rounded: 110 for 100 is an error of exactly 0.1, whatever the computer makes of it.
    return sum(round(abs(error), 9) < round(1 - each, 9) for each in RELATIVE_ACCURACIES) / len(RELATIVE_ACCURACIES)


def relative_error(said: float, truth: float) -> float:
    """What was said too much, in parts of the truth; negative: too little."""
    return (said - truth) / truth if truth else math.copysign(math.inf, said) if said else 0.0


def score_number(said: float, truth: float, tolerance: float) -> dict[str, float]:
    """The scores of a number.

    Returns:
        ``acc``: whether it is within the tolerance; ``mra``: the mean relative accuracy; ``bias``: the relative error
        with its sign.
    """
    within = abs(said - truth) <= tolerance * (1 + 1e-9)
    return {"acc": float(within), "mra": mean_relative_accuracy(said, truth), "bias": relative_error(said, truth)}
