"""Moments that a person has to answer: what an attack found, gathered so that one thing seen is asked about once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from processing.geometry import Box, overlap

if TYPE_CHECKING:
    from processing.suspects import Moment

# Moments belong together when they lie at most this far apart and overlap by this much (IoU): a head that turns
# stays above it from one examined frame to the next, two heads side by side never reach it.
APART_S, OVERLAP = 1.0, 0.2
# Nobody vouches for more than this with one answer: whoever stands before a lamp later is asked about anew.
LONGEST_S = 60.0
THUMBNAILS = "thumbnails"


@dataclass(frozen=True)
class Alarm:
    """Moments in one place, ``count`` of them; ``id`` is unique among those of one verification.

    ``frame``, ``box`` (displayed pixels; without area where the whole picture is meant) and ``score`` are those
    of the worst one.
    """

    id: str
    camera: str
    kinds: tuple[str, ...]
    first_s: float
    last_s: float
    count: int
    frame: int
    box: Box
    score: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def thumbnail_of(alarm: str) -> str:
    """Where the picture of an alarm lies among the results of the verification."""
    return f"{THUMBNAILS}/{alarm}.jpg"


def gather(camera: str, moments: Iterable[Moment]) -> list[Alarm]:
    """The alarms of one camera, numbered in the order in which they begin.

    Every moment is in exactly one of them, and the order in which the moments come makes no difference.
    """
    groups: list[list[Moment]] = []
    going_on: list[list[Moment]] = []
    for moment in sorted(moments, key=_place):
        going_on = [group for group in going_on if _soon_after(group, moment)]
        fitting = [group for group in going_on if _overlap(group[-1].box, moment.box) >= OVERLAP]
        if fitting:
            max(fitting, key=lambda group: _overlap(group[-1].box, moment.box)).append(moment)
        else:
            groups.append([moment])
            going_on.append(groups[-1])
    return [_alarm(f"{camera}-{number}", camera, group) for number, group in enumerate(groups, 1)]


def _place(moment: Moment) -> tuple[float, int, str, Box, float]:
    return moment.time_s, moment.frame, moment.kind, moment.box, moment.score


def _soon_after(group: Sequence[Moment], moment: Moment) -> bool:
    return moment.time_s - group[-1].time_s <= APART_S and moment.time_s - group[0].time_s <= LONGEST_S


def _alarm(name: str, camera: str, group: Sequence[Moment]) -> Alarm:
    worst = max(group, key=lambda moment: moment.score)
    return Alarm(
        id=name,
        camera=camera,
        kinds=tuple(sorted({moment.kind for moment in group})),
        first_s=group[0].time_s,
        last_s=group[-1].time_s,
        count=len(group),
        frame=worst.frame,
        box=worst.box,
        score=worst.score,
    )


def has_place(box: Box) -> bool:
    """Whether something lies somewhere in the picture, rather than being about all of it."""
    return box[2] > box[0] and box[3] > box[1]


def _overlap(a: Box, b: Box) -> float:
    """Intersection over union; what is about the whole picture coincides with its like and with nothing else."""
    if not (has_place(a) and has_place(b)):
        return 0.0 if has_place(a) or has_place(b) else 1.0
    return overlap(a, b)
