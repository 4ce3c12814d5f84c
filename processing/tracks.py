"""From boxes in examined frames to tracks: one per face, with the area to protect in every frame of its life.

Everything here errs towards protecting: a track reaches from before a face is first seen until after it is
last seen, across its gaps, over the whole head, and further the less is known.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from itertools import pairwise
from statistics import median
from typing import Any, Literal

from processing.chains import HEADING_S, Chain, Seen, chains_of, drift, nearness, predicted, same_shot
from processing.detectors import SURE_SCORE
from processing.faces import Detections, Look
from processing.geometry import Box, area_of, centre, moved, overlap, shared_area, size_of, union

Decision = Literal["blur", "keep", "delete"]
Reason = Literal[
    "default", "enrolled-expert", "marked-by-reviewer", "blur-edit", "deleted-by-reviewer", "overlap"
]

Pans = dict[int, tuple[float, float]]
"""By examined frame: how far, in pixels per frame, the picture moves from there."""

# A face that is lost is treated as still there for this long, and as there this long before it is first seen.
HOLD_S = 0.8
# The same across a scene cut: both sides of it were examined, so this only guards against a cut that is none.
# Where a face is surely seen right on the other side, over this share of the place, one frame is: it may be a blend of both
# shots, as films have whose frame rate was changed.
CUT_HOLD_S, COVERED_SHARE, BLENDED_FRAMES = 0.25, 0.3, 1
# A thing that was doubted and is doubted again this soon is hidden in between; later it is taken for another one.
GLIMPSE_PAUSE_S = 0.5
# A face that is found this soon after one was lost, so many box sizes from it, may be the same that ran. What a chain goes on
# with less near (0 to 1) to where it was heading may be another one.
LEAP_S, LEAP_REACH, DOUBTFUL_LINK = 0.25, 2.0, 0.35
# So many faces that are followed at the same time tell how the camera pans.
CROWD = 5
# What surrounds the detector's box (brow to chin): hair above, ears at the sides, chin and collar below.
SIDE_SHARE, ABOVE_SHARE, BELOW_SHARE = 0.15, 0.25, 0.15
# Growth of the area per second without a look, in box sizes, and its limit.
GROWTH_PER_S, GROWTH_LIMIT = 0.6, 0.4
# So many box sizes of the way a lost face is heading are hidden by the end of the time for which that is believed; and of the
# growth in all directions whoever heads for their own size or more does not need this share.
HEADING_REACH, HEADING_KNOWN = 1.5, 0.75
# The head at the picture's edge: an area that comes this near (in box sizes) is stretched out to the edge.
EDGE_SHARE = 0.35
# Two boxes this much over each other may be mixed up from here on: the tracks are cut into parts there.
OVERLAP_IOU, OVERLAP_MARGIN_S = 0.2, 0.2
# A face that is found less than this over where it was, and over where it was heading, left both, or is another thing.
# The heading is that of the last looks.
JUMP_IOU, RECENT_LOOKS = 0.1, 16


@dataclass(frozen=True, slots=True)
class Knot:
    """The protected area in one frame; between knots it changes linearly."""

    frame: int
    box: Box


@dataclass(frozen=True)
class Track:
    """One face from ``first_frame`` to ``last_frame`` (both included); boxes in displayed full-size pixels."""

    id: int
    first_frame: int
    last_frame: int
    looks: tuple[Seen, ...]
    areas: tuple[Knot, ...]
    decision: Decision = "blur"
    reason: Reason = "default"

    def area_at(self, frame: int) -> Box | None:
        """The area to protect in ``frame``, or None outside the track's life."""
        if not self.first_frame <= frame <= self.last_frame:
            return None
        return _between(self.areas, frame)

    def box_at(self, frame: int) -> Box | None:
        """Where the face itself should be in ``frame``, or None outside the track's life."""
        if not self.first_frame <= frame <= self.last_frame:
            return None
        return _between(self.looks, frame)

    @cached_property
    def extent(self) -> Box:
        """Around every place where the face was seen."""
        return reduce(union, (look.box for look in self.looks))

    def to_dict(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "first_frame": self.first_frame,
            "last_frame": self.last_frame,
            "decision": self.decision,
            "reason": self.reason,
            "looks": [[look.frame, *look.box, look.score] for look in self.looks],
            "areas": [[knot.frame, *knot.box] for knot in self.areas],
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Track:
        looks = tuple(Seen(f, (x0, y0, x1, y1), score) for f, x0, y0, x1, y1, score in raw["looks"])
        areas = tuple(Knot(f, (x0, y0, x1, y1)) for f, x0, y0, x1, y1 in raw["areas"])
        return cls(**{**raw, "looks": looks, "areas": areas})


def link(detections: Detections) -> list[Track]:
    """Tracks of all faces, all to be blurred, numbered from 0 in order of appearance. Deterministic."""
    chains = chains_of(detections)
    pans = _pans(chains, detections.fps)
    tracks = [
        _track(
            chain,
            detections,
            _reach(chain[0], -1, detections),
            _reach(chain[-1], 1, detections),
            pans,
        )
        for chain in chains
    ]
    parts = [part for track, others in _beside(tracks) for part in _part(track, others, detections.fps)]
    parts += [place for chain in chains for place in _left_places(chain, detections)]
    parts += _leaps(chains, detections)
    parts += _glimpses(chains, detections)
    parts.sort(
        key=lambda track: (track.first_frame, track.looks[0].frame, track.looks[0].box, track.last_frame)
    )
    return [replace(part, id=number) for number, part in enumerate(parts)]


def _pans(chains: Iterable[Chain], fps: float) -> Pans:
    """Where faces go from each examined frame when many are followed: with the camera's pan, or nowhere in common."""
    ways: dict[int, list[tuple[float, float]]] = {}
    for chain in chains:
        for before, after in pairwise(chain):
            frames = after.frame - before.frame
            if frames <= LEAP_S * fps:
                (ax, ay), (bx, by) = centre(before.box), centre(after.box)
                ways.setdefault(before.frame, []).append(((bx - ax) / frames, (by - ay) / frames))
    return {
        frame: (median(x for x, _ in each), median(y for _, y in each))
        for frame, each in ways.items()
        if len(each) >= CROWD
    }


def _left_places(chain: Chain, detections: Detections) -> Iterator[Track]:
    """Tracks of their own for the places that a face would have left altogether from one look to the next.

    It may have stayed, unseen, while a hand beside it was taken for it: its place is held as long as a lost face's is,
    but not grown, for most often it did leave.
    """
    for before, expected, after in _links(chain, detections.fps):
        if max(overlap(before.box, after.box), overlap(expected, after.box)) < JUMP_IOU:
            place = Knot(before.frame, _head(before.box, 0.0, detections))
            yield Track(0, before.frame, _reach(before, 1, detections), (before,), (place,))


def _links(chain: Chain, fps: float) -> Iterator[tuple[Seen, Box, Seen]]:
    """Each look with the one before it and where that was heading."""
    for number, (before, after) in enumerate(pairwise(chain), 1):
        yield before, predicted(chain[max(0, number - RECENT_LOOKS) : number], after.frame, fps), after


def _leaps(chains: Sequence[Chain], detections: Detections) -> Iterator[Track]:
    """Tracks of their own from where a face was lost to where one was found right after, further than a chain reaches.

    It may have run there: the way between is hidden, and as far again before and after. That it is the same is not believed.
    In a crowd another one may stand where it was, or where it comes to; so links that hardly fit count as lost and found.
    """
    lost, found = [chain[-1] for chain in chains], [chain[0] for chain in chains]
    linked = set()
    for chain in chains:
        for before, expected, after in _links(chain, detections.fps):
            if nearness(expected, after.box) < DOUBTFUL_LINK:
                lost.append(before)
                found.append(after)
                linked.add((before, after))
    found.sort(key=lambda seen: (seen.frame, seen.box))
    frames = [seen.frame for seen in found]
    for before in lost:
        soon = slice(
            bisect_right(frames, before.frame), bisect_right(frames, before.frame + LEAP_S * detections.fps)
        )
        ways = [
            (nearness(before.box, after.box, LEAP_REACH), after)
            for after in found[soon]
            if same_shot(detections.cuts, before.frame, after.frame) and (before, after) not in linked
        ]
        near, after = max(ways, key=lambda way: way[0], default=(0.0, before))
        if near > 0.0:
            pause = after.frame - before.frame
            first, last = max(0, before.frame - pause), min(detections.frames - 1, after.frame + pause)
            yield _track([before, after], detections, first, last)


def _glimpses(chains: Iterable[Chain], detections: Detections) -> Iterator[Track]:
    """Tracks of what was doubted and continues no face: each from the look before it was seen to the look after."""
    taken = {(seen.frame, seen.box) for chain in chains for seen in chain}
    left = tuple(
        Look(look.frame, tuple(box for box in look.boxes if (look.frame, box[:4]) not in taken))
        for look in detections.doubted
    )
    looked = [look.frame for look in detections.looks]
    for chain in chains_of(replace(detections, looks=left, start_score=0.0)):
        for seen in _without_pauses(chain, GLIMPSE_PAUSE_S * detections.fps):
            before, after = bisect_left(looked, seen[0].frame) - 1, bisect_right(looked, seen[-1].frame)
            first = looked[before] if before >= 0 else 0
            last = looked[after] if after < len(looked) else detections.frames - 1
            yield _track(
                seen,
                detections,
                max(first, _reach(seen[0], -1, detections)),
                min(last, _reach(seen[-1], 1, detections)),
            )


def _without_pauses(chain: Chain, longest_frames: float) -> Iterator[Chain]:
    """The chain, cut where it was not seen for longer than that."""
    part = chain[:1]
    for before, after in pairwise(chain):
        if after.frame - before.frame > longest_frames:
            yield part
            part = []
        part.append(after)
    yield part


def _track(chain: Chain, detections: Detections, first: int, last: int, pans: Pans | None = None) -> Track:
    knots = _held(chain[::-1], first, detections, pans or {})[::-1] if first < chain[0].frame else []
    for seen, following in zip(chain, [*chain[1:], None], strict=True):
        knots.append(Knot(seen.frame, _head(seen.box, 0.0, detections)))
        if following is not None and following.frame - seen.frame > 1:
            knots.append(_midway(seen, following, detections))
    if last > chain[-1].frame:
        knots += _held(chain, last, detections, pans or {})
    return Track(0, first, last, tuple(chain), tuple(knots))


def _reach(seen: Seen, direction: int, detections: Detections) -> int:
    """The furthest frame a face last seen so is protected in."""
    hold = max(1, round(HOLD_S * detections.fps))
    across = max(1, round(CUT_HOLD_S * detections.fps))
    shot = bisect_right(detections.cuts, seen.frame)
    if direction < 0:
        begin = detections.cuts[shot - 1] if shot else 0
        if begin and _covered(seen.box, begin - 1, detections):
            across = BLENDED_FRAMES
        return max(0, seen.frame - hold, begin - across if begin else 0)
    last_shot = shot == len(detections.cuts)
    end = detections.frames - 1 if last_shot else detections.cuts[shot] - 1
    if not last_shot and _covered(seen.box, end + 1, detections):
        across = BLENDED_FRAMES
    return min(detections.frames - 1, seen.frame + hold, end + across)


def _covered(box: Box, frame: int, detections: Detections) -> bool:
    """Whether the other side of a cut surely shows a face in this place: be it the same or another, it has its own track."""
    at = bisect_left(detections.looks, frame, key=lambda look: look.frame)
    if at == len(detections.looks) or detections.looks[at].frame != frame:
        return False
    return any(
        score >= SURE_SCORE and shared_area(box, (x0, y0, x1, y1)) >= COVERED_SHARE * area_of(box)
        for x0, y0, x1, y1, score in detections.looks[at].boxes
    )


def _held(chain: Sequence[Seen], frame: int, detections: Detections, pans: Pans) -> list[Knot]:
    """The area after a face is lost, until ``frame``: where it was and where it was heading, in one; a cut ends the heading.

    Most of the way is in it by the time for which a heading is believed, not only in the end.
    """
    last = chain[-1]
    dx, dy = _heading(chain, frame, detections, pans)
    way = max(abs(dx), abs(dy)) / max(size_of(last.box), 1e-6)
    unknown = 1.0 - HEADING_KNOWN * min(1.0, way)

    def at(there: int, share: float) -> Knot:
        growth = min(GROWTH_LIMIT, GROWTH_PER_S * abs(there - last.frame) / detections.fps) * unknown
        boxes = (last.box, moved(last.box, dx * share, dy * share))
        return Knot(there, reduce(union, (_head(box, growth, detections) for box in boxes)))

    heading_frames, frames = round(HEADING_S * detections.fps), abs(frame - last.frame)
    if heading_frames >= frames:
        return [at(frame, 1.0)]
    share = min(1.0, max(HEADING_REACH / max(way, 1e-6), heading_frames / frames))
    return [
        at(last.frame + (heading_frames if frame > last.frame else -heading_frames), share),
        at(frame, 1.0),
    ]


def _heading(chain: Sequence[Seen], frame: int, detections: Detections, pans: Pans) -> tuple[float, float]:
    """How far the last face of ``chain`` goes until ``frame``; where everybody does when it was not seen shortly before."""
    last, memory = chain[-1], HEADING_S * detections.fps
    if not same_shot(detections.cuts, frame, last.frame):
        return 0.0, 0.0
    if len(chain) > 1 and abs(last.frame - chain[-2].frame) <= memory:
        return drift(chain, frame, detections.fps)
    x, y = pans.get(last.frame, (0.0, 0.0))
    frames = max(-memory, min(memory, frame - last.frame))
    return x * frames, y * frames


def _midway(a: Seen, b: Seen, detections: Detections) -> Knot:
    """Half way between two looks, larger the longer nobody looked and the faster the face moved."""
    frame = (a.frame + b.frame) // 2
    middle = _between((a, b), frame)
    (ax, ay), (bx, by) = centre(a.box), centre(b.box)
    way = max(abs(ax - bx), abs(ay - by)) / max(size_of(middle), 1e-6)
    growth = GROWTH_PER_S * (b.frame - a.frame) / 2 / detections.fps + 0.15 * way
    return Knot(frame, _head(middle, growth, detections))


def _head(box: Box, growth: float, detections: Detections) -> Box:
    """The whole head around a face box, grown, stretched to the picture's edge when near it, within the picture."""
    x0, y0, x1, y1 = box
    width, height = x1 - x0, y1 - y0
    grow = min(growth, GROWTH_LIMIT)
    left, right = x0 - (SIDE_SHARE + grow) * width, x1 + (SIDE_SHARE + grow) * width
    top, bottom = y0 - (ABOVE_SHARE + grow) * height, y1 + (BELOW_SHARE + grow) * height
    wide, high = detections.width_px, detections.height_px
    # Stretched beyond the edge, so that the rounded corners of what is drawn fall outside the picture.
    if left < EDGE_SHARE * width:
        left = min(left, -EDGE_SHARE * width)
    if top < EDGE_SHARE * height and y0 < EDGE_SHARE * height:
        top = min(top, -EDGE_SHARE * height)
    if right > wide - EDGE_SHARE * width:
        right = max(right, wide + EDGE_SHARE * width)
    if bottom > high - EDGE_SHARE * height:
        bottom = max(bottom, high + EDGE_SHARE * height)
    return (round(left, 1), round(top, 1), round(right, 1), round(bottom, 1))


def _beside(tracks: Iterable[Track]) -> list[tuple[Track, list[Track]]]:
    """Each track with the others that are seen while it is; hours hold thousands, of which a few are there at a time."""
    found: list[tuple[Track, list[Track]]] = []
    there: list[tuple[Track, list[Track]]] = []
    for track in sorted(tracks, key=lambda track: track.looks[0].frame):
        there = [each for each in there if each[0].looks[-1].frame >= track.looks[0].frame]
        for other, others in there:
            others.append(track)
        there.append((track, [other for other, _ in there]))
        found.append(there[-1])
    return found


def _part(track: Track, others: Iterable[Track], fps: float) -> list[Track]:
    """The track cut where one of ``others`` lies over it: who is who may have been mixed up there.

    The parts in between keep the reason ``overlap`` and are never kept by recognition; what comes after has to
    be recognised anew.
    """
    frames: set[int] = set()
    margin = max(1, round(OVERLAP_MARGIN_S * fps))
    for other in others:
        for frame in _overlapping(track, other):
            frames.update(range(frame - margin, frame + margin + 1))
    if not frames:
        return [track]
    spans = _spans(track, frames)
    return [_cut_out(track, first, last, mixed) for first, last, mixed in spans]


def _overlapping(track: Track, other: Track) -> list[int]:
    if not overlap(track.extent, other.extent):
        return []
    first = max(track.looks[0].frame, other.looks[0].frame)
    last = min(track.looks[-1].frame, other.looks[-1].frame)
    return [
        frame
        for frame in range(first, last + 1)
        if overlap(_between(track.looks, frame), _between(other.looks, frame)) > OVERLAP_IOU
    ]


def _spans(track: Track, mixed: set[int]) -> list[tuple[int, int, bool]]:
    """(first, last, mixed up?) pieces of the track's life; a clear piece without a look joins its neighbour."""
    seen = [look.frame for look in track.looks]
    spans: list[tuple[int, int, bool]] = []
    for frame in range(track.first_frame, track.last_frame + 1):
        if spans and spans[-1][2] == (frame in mixed):
            spans[-1] = (spans[-1][0], frame, spans[-1][2])
        else:
            spans.append((frame, frame, frame in mixed))
    solid: list[tuple[int, int, bool]] = []
    for first, last, is_mixed in spans:
        unclear = is_mixed or not any(first <= frame <= last for frame in seen)
        if solid and unclear and solid[-1][2]:
            solid[-1] = (solid[-1][0], last, True)
        else:
            solid.append((first, last, unclear))
    return solid


def _cut_out(track: Track, first: int, last: int, mixed: bool) -> Track:
    looks = tuple(look for look in track.looks if first <= look.frame <= last)
    if not looks:
        looks = (Seen(first, _between(track.looks, first), 0.0),)
    inner = [knot for knot in track.areas if first < knot.frame < last]
    areas = (Knot(first, _between(track.areas, first)), *inner, Knot(last, _between(track.areas, last)))
    return replace(
        track,
        first_frame=first,
        last_frame=last,
        looks=looks,
        areas=areas,
        reason="overlap" if mixed else "default",
    )


def _between(points: Sequence[Seen] | Sequence[Knot], frame: int) -> Box:
    """The box in ``frame`` on straight lines between ``points``; before the first and after the last it rests."""
    after = bisect_right(points, frame, key=lambda point: point.frame)
    if after == 0:
        return points[0].box
    if after == len(points):
        return points[-1].box
    a, b = points[after - 1], points[after]
    share = (frame - a.frame) / (b.frame - a.frame)
    x0, y0, x1, y1 = (round(p + (q - p) * share, 2) for p, q in zip(a.box, b.box, strict=True))
    return (x0, y0, x1, y1)
