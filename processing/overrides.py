"""What people decide about one video beyond what was found in it: tracks kept, blurred or deleted, and regions.

The document is JSON, version 1 (a document without a version is of version 1):

    {"version": 1, "keep_tracks": [3], "blur_tracks": [], "delete_tracks": [7],
     "regions": [{"id": "paper-1", "kind": "paper", "keyframes": [{"time_s": 1.2, "box": [10, 20, 300, 200]}]}]}

Places are displayed (upright) pixels of the full-size picture. Times are seconds on the file's own clock, the one
of its timestamps and of the moments of a verification; a frame number would mean nothing to a player, and in a
file of variable frame rate it is no measure of time. A keyframe belongs to the frame that is shown at its time,
which is the one somebody saw who paused there; between keyframes the shape moves on straight lines.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from archive.edits import MAX_REGIONS, TRACK_LISTS
from config.errors import EditsRejected
from config.problem import first_problem

if TYPE_CHECKING:
    from processing.tracks import Decision, Reason, Track

Point = tuple[float, float]
Polygon = tuple[Point, ...]

MAX_TRACKS, MAX_KEYFRAMES, MAX_POINTS = 10_000, 300, 40
# Beyond the largest picture (8K is 7680 wide) on every side: a region may reach out of the picture.
FURTHEST_PX = 16_384.0
LONGEST_S = 1e6
# Players and reports round times; a frame this little later than the time that was named is meant by it.
ROUNDING_S = 0.001

_DECISIONS: dict[str, tuple[Decision, Reason]] = {
    "delete_tracks": ("delete", "deleted-by-reviewer"),
    "keep_tracks": ("keep", "marked-by-reviewer"),
    "blur_tracks": ("blur", "blur-edit"),
}

Pixels = Annotated[float, Field(strict=True, ge=-FURTHEST_PX, le=FURTHEST_PX, allow_inf_nan=False)]
Seconds = Annotated[float, Field(strict=True, ge=0, le=LONGEST_S, allow_inf_nan=False)]
TrackNumbers = Annotated[
    tuple[Annotated[int, Field(strict=True, ge=0, le=2**31)], ...], Field(max_length=MAX_TRACKS)
]
RegionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Keyframe(_Strict):
    """Where a region is in the frame shown at ``time_s``: a box (x0, y0, x1, y1) or a polygon."""

    time_s: Seconds
    box: tuple[Pixels, Pixels, Pixels, Pixels] | None = None
    polygon: Annotated[
        tuple[tuple[Pixels, Pixels], ...] | None, Field(min_length=3, max_length=MAX_POINTS)
    ] = None

    @property
    def points(self) -> Polygon:
        if self.polygon is not None:
            return self.polygon
        assert self.box is not None
        x0, y0, x1, y1 = self.box
        return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))

    @model_validator(mode="after")
    def _has_one_shape(self) -> Self:
        if (self.box is None) == (self.polygon is None):
            raise PydanticCustomError("shape", "needs a box or a polygon, one of them")
        if self.box is not None and not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise PydanticCustomError("shape", "a box is [x0, y0, x1, y1] with x0 < x1 and y0 < y1")
        if len({x for x, _ in self.points}) == 1 or len({y for _, y in self.points}) == 1:
            raise PydanticCustomError("shape", "the polygon is a line")
        return self


class Region(_Strict):
    """Something to hide that no detector looks for.

    It is there from its first keyframe to its last, both included, or to ``until_s`` where it rests after the last
    one. A region of a single keyframe without ``until_s`` stays to the end of the video, as a paper on the desk
    does; with ``time_s`` 0 it is there from the first frame on.
    """

    id: RegionId
    kind: Literal["paper", "tattoo", "screen", "face", "other"]
    keyframes: Annotated[tuple[Keyframe, ...], Field(min_length=1, max_length=MAX_KEYFRAMES)]
    until_s: Seconds | None = None

    @property
    def last_s(self) -> float:
        if self.until_s is not None:
            return self.until_s
        return self.keyframes[-1].time_s if len(self.keyframes) > 1 else float("inf")

    def shapes(self, from_s: float, to_s: float) -> list[Polygon]:
        """What to hide in a frame that is shown from ``from_s`` until the next one comes at ``to_s``."""
        begin, end = from_s - ROUNDING_S, to_s - ROUNDING_S
        first = bisect_left(self.keyframes, begin, key=_time_s)
        after = bisect_left(self.keyframes, end, key=_time_s)
        if first < after:
            return [keyframe.points for keyframe in self.keyframes[first:after]]
        begins_s = self.keyframes[0].time_s
        # A clock may begin below zero.
        if (begins_s < end or begins_s == 0.0) and begin <= self.last_s:
            return [_between(self.keyframes, from_s)]
        return []

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        if any(a.time_s >= b.time_s for a, b in pairwise(self.keyframes)):
            raise PydanticCustomError("order", "keyframes are not in the order of their times")
        if len({(k.box is None, len(k.points)) for k in self.keyframes}) > 1:
            raise PydanticCustomError("shape", "keyframes are not all boxes, or polygons of as many points")
        if self.until_s is not None and self.until_s < self.keyframes[-1].time_s:
            raise PydanticCustomError("order", "until_s is before the last keyframe")
        return self


class Overrides(_Strict):
    """The whole document. A track that stands in several lists is blurred rather than kept, kept rather than deleted.

    ``delete_tracks`` are no faces: nothing is drawn there, and the verification does not hold it against the output.
    """

    version: Literal[1] = 1
    keep_tracks: TrackNumbers = ()
    blur_tracks: TrackNumbers = ()
    delete_tracks: TrackNumbers = ()
    regions: Annotated[tuple[Region, ...], Field(max_length=MAX_REGIONS)] = ()

    @model_validator(mode="after")
    def _names_regions_once(self) -> Self:
        ids = [region.id for region in self.regions]
        twice = sorted({each for each in ids if ids.count(each) > 1})
        if twice:
            raise PydanticCustomError("twice", "two regions are called {id}", {"id": twice[0]})
        return self


def parse_overrides(raw: Any) -> Overrides:
    """The document read from JSON. Raises EditsRejected, naming the first place that is wrong."""
    try:
        return Overrides.model_validate(raw)
    except ValidationError as error:
        raise EditsRejected(problem=first_problem(error, "overrides")) from error


def apply_overrides(tracks: Sequence[Track], overrides: Overrides) -> list[Track]:
    """The tracks with people's decisions. Raises EditsRejected for the number of a track that is not there."""
    known = {track.id for track in tracks}
    chosen: dict[int, tuple[Decision, Reason]] = {}
    for name in TRACK_LISTS:
        numbers = getattr(overrides, name)
        strangers = sorted(set(numbers) - known)
        if strangers:
            raise EditsRejected(problem=f"{name}: no track {strangers[0]}")
        chosen |= dict.fromkeys(numbers, _DECISIONS[name])
    return [
        replace(track, decision=chosen[track.id][0], reason=chosen[track.id][1])
        if track.id in chosen
        else track
        for track in tracks
    ]


def _time_s(keyframe: Keyframe) -> float:
    return keyframe.time_s


def _between(keyframes: Sequence[Keyframe], time_s: float) -> Polygon:
    after = bisect_right(keyframes, time_s, key=_time_s)
    if after == 0 or after == len(keyframes):
        return keyframes[min(after, len(keyframes) - 1)].points
    a, b = keyframes[after - 1], keyframes[after]
    share = (time_s - a.time_s) / (b.time_s - a.time_s)
    return tuple(
        (ax + (bx - ax) * share, ay + (by - ay) * share)
        for (ax, ay), (bx, by) in zip(a.points, b.points, strict=True)
    )
