"""Whether the looks at one face are all of an enrolled person: what agrees, what contradicts, and what tells nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from config.settings import VisionSettings

Encoding = NDArray[np.float64]
"""(128,) what dlib's network makes of a face; two of one person lie nearer to each other (Euclid) than two people's."""

# Judged are the means of so many looks that follow one another: what differs from look to look falls out of them. Of 21,378
# pairs of a stranger's track and a single picture the nearest had one such mean at 0.424, by photographs at 0.46, and none
# all of them below 0.48. The limit is the setting's 0.42; no single look may be further away than that and this doubt; and
# no two looks in a row may be too poor to tell.
LOOKS_TOGETHER, DOUBT, POOR_IN_A_ROW = 3, 0.16, 2
# A face that was never out of sight can be judged by the mean of all its looks, which lies much nearer: a performer who sang,
# laughed and turned was up to 0.57 from his portrait in three looks, and 0.34 to 0.38 in all; of the same strangers nobody's
# mean of all was nearer than 0.43, by photographs 0.48. It needs so many looks, and to lie nearer than three by this.
LOOKS_WHOLE, WHOLE_NEARER = 12, 0.03
# Then single looks, and three together, may be this much further away than three may otherwise ...
WHOLE_ONE_DOUBT, WHOLE_DOUBT = 0.2, 0.12
# ... but no three or more in a row may lie further than this from all the others, for then there might be two people: those
# of one person lay up to 0.36 apart, those of two at least 0.40. Of 12,528 tracks in which strangers took the expert's
# place for three looks or more none agreed.
APART = 0.38


class Identity:
    """Weighs the looks of one track against ``templates``; holds their encodings only while it may be one of those people.

    ``in_sight``: the face was never lost from look to look, so that nobody can have taken its place.
    """

    def __init__(
        self, templates: Iterable[Encoding], looks: int, settings: VisionSettings, *, in_sight: bool
    ) -> None:
        self._templates = list(templates)
        self._near = settings.keep_distance
        self._in_sight = in_sight
        self._steady = [True] * len(self._templates)
        self._possible = [True] * len(self._templates)
        self._heard: list[Encoding] = []
        self._poor_in_a_row = 0
        self._looks_left = looks

    def hear(self, encoding: Encoding) -> None:
        self._looks_left -= 1
        self._poor_in_a_row = 0
        self._heard.append(encoding)
        last = self._heard[-LOOKS_TOGETHER:]
        together = np.mean(last, axis=0) if len(last) == LOOKS_TOGETHER else None
        for number, template in enumerate(self._templates):
            one = distance(template, encoding) - self._near
            three = distance(template, together) - self._near if together is not None else 0.0
            self._steady[number] &= one <= DOUBT and three <= 0.0
            passable = self._in_sight and one <= WHOLE_ONE_DOUBT and three <= WHOLE_DOUBT
            self._possible[number] &= self._steady[number] or passable
        self._forget_when_settled()

    def pass_over(self) -> None:
        """A look that is too poor tells nothing; where several are, somebody else may be."""
        self._looks_left -= 1
        self._poor_in_a_row += 1
        if self._poor_in_a_row >= POOR_IN_A_ROW:
            self._possible = [False] * len(self._templates)
        self._forget_when_settled()

    def _forget_when_settled(self) -> None:
        if self.settled:
            self._heard.clear()

    @property
    def settled(self) -> bool:
        """True when no further look can make this anybody enrolled."""
        return not any(self._possible)

    @property
    def agrees(self) -> bool:
        if self._looks_left > 0 or len(self._heard) < LOOKS_TOGETHER:
            return False
        return any(
            possible and (steady or self._agrees_as_a_whole(template))
            for template, possible, steady in zip(self._templates, self._possible, self._steady, strict=True)
        )

    def _agrees_as_a_whole(self, template: Encoding) -> bool:
        if len(self._heard) < LOOKS_WHOLE:
            return False
        mean = np.mean(self._heard, axis=0)
        return distance(template, mean) <= self._near - WHOLE_NEARER and furthest_apart(self._heard) <= APART


def distance(a: Encoding, b: Encoding) -> float:
    return float(np.linalg.norm(a - b))


def furthest_apart(looks: Sequence[Encoding]) -> float:
    """The longest way between the mean of some looks in a row, LOOKS_TOGETHER or more, and the mean of all the others.

    Raises ValueError for fewer looks than two such parts.
    """
    if len(looks) < 2 * LOOKS_TOGETHER:
        raise ValueError(f"{len(looks)} looks have no two parts")
    sums = np.vstack([np.zeros_like(looks[0]), np.cumsum(looks, axis=0)])
    return max(
        _apart(sums[length:] - sums[:-length], length, sums[-1], len(looks))
        for length in range(LOOKS_TOGETHER, len(looks) - LOOKS_TOGETHER + 1)
    )


def _apart(parts: NDArray[np.float64], length: int, total: Encoding, looks: int) -> float:
    """The longest way from the mean of one of ``parts`` (n, 128; sums of ``length``) to the mean of the other looks."""
    ways = parts / length - (total - parts) / (looks - length)
    return float(np.linalg.norm(ways, axis=1).max())
