"""Whether the contrasts of a scan are in their places: all of one head, and in the usual order."""

from collections.abc import Iterator, Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment

from medgan.data.agreement import AGREEMENT
from medgan.data.preparation import Prepared
from medgan.data.statistics import DomainStatistics, ScanFigures, distance, statistics_of

ORDER_FACTOR = 1.1
"""Another order is likely where contrasts differ in it so many times less from those in training.

T1 and T2 of eight phantoms at 4 mm, each held against the others, differ 5 to 12 times more when
they are exchanged; of random contrast 1.17 to 2.4 times, and none of them less.
"""

ORDER_DIFFERENCE = 0.02
"""And less by so much of a rank: contrasts that are as bright in the same places have no order."""

AGREEMENT_SHARE = 0.75
"""Where contrasts agree less in training, as thick slices do, they may in use be this much worse
than the worst."""


def likely_order(figures: ScanFigures, statistics: DomainStatistics) -> tuple[int, ...]:
    """Which contrast of the training each contrast of a scan is likely to be.

    Args:
        figures: of the scan.
        statistics: of the training; as many contrasts.

    Returns:
        Numbers from 0; 0, 1, 2, ... unless another order fits clearly better, and where the
        training's file is older than these figures.
    """
    places = tuple(range(len(figures.companions)))
    if len(places) < 2 or statistics.companions is None:
        return places
    apart = np.array(
        [[distance(mine, known) for known in statistics.companions] for mine in figures.companions]
    )
    rows, columns = linear_sum_assignment(apart)
    right, best = np.diag(apart).mean(), apart[rows, columns].mean()
    if right <= ORDER_FACTOR * best or right - best <= ORDER_DIFFERENCE:
        return places
    return tuple(int(place) for place in columns)


def least_agreement(statistics: DomainStatistics | None) -> float:
    """What contrasts of one head in register are expected to agree by, see ``agreement``."""
    if statistics is None or not statistics.agreement:
        return AGREEMENT
    return min(AGREEMENT, AGREEMENT_SHARE * min(known.low for known in statistics.agreement))


def contrast_remarks(scans: Sequence[Sequence[Prepared]]) -> Iterator[tuple[int, str]]:
    """What is odd about the contrasts of scans that are trained on.

    Args:
        scans: each with as many contrasts.

    Yields:
        Number of the scan, from 1, and what to know of it.
    """
    figures = [ScanFigures.of(scan) for scan in scans if len(scan) > 1]
    for number, one in enumerate(figures, 1):
        for contrast, agreed in enumerate(one.agreement, 2):
            if agreed < AGREEMENT:
                yield (
                    number,
                    f"contrast {contrast} is not of the head of the first, or not in register "
                    f"with it (agreement {agreed:.2f}, expected at least {AGREEMENT})",
                )
        others = [other for other in figures if other is not one]
        places = tuple(range(len(one.companions)))
        if others and likely_order(one, statistics_of(others)) != places:
            yield number, "its contrasts look like those of the other scans in another order"
