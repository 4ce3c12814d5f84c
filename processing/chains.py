"""Detections of one face, one after the other: the raw threads that tracks are made of."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from math import hypot

from processing.faces import Detections, Look
from processing.geometry import Box, centre, moved, size_of

# Pieces of one face are joined across gaps up to this long; a large near face turned away for 18 frames.
GAP_S = 1.5
# A face goes on as it did for so long; what it did for so long tells how.
HEADING_S = 0.3


@dataclass(frozen=True, slots=True)
class Seen:
    """One detection that belongs to a track."""

    frame: int
    box: Box
    score: float


Chain = list[Seen]


def chains_of(detections: Detections) -> list[Chain]:
    """Every strong detection in exactly one chain, with the weak ones that continue it. Deterministic."""
    return _join(_adopt_earlier(_forwards(detections), detections), detections)


def _forwards(detections: Detections) -> list[Chain]:
    """Detections of one face one after the other; only a strong score starts a chain, a weak one continues it."""
    open_chains: list[Chain] = []
    closed: list[Chain] = []
    cuts = detections.cuts
    for look in detections.looks:
        shot = bisect_right(cuts, look.frame)
        found = _seen(look)
        still = []
        for chain in open_chains:
            lost_s = (look.frame - chain[-1].frame) / detections.fps
            if lost_s > GAP_S or bisect_right(cuts, chain[-1].frame) != shot:
                closed.append(chain)
            else:
                still.append(chain)
        open_chains = still
        taken = _match(open_chains, found, detections.fps)
        open_chains += [
            [seen]
            for number, seen in enumerate(found)
            if number not in taken and seen.score >= detections.start_score
        ]
    return closed + open_chains


def _seen(look: Look) -> list[Seen]:
    return [Seen(look.frame, (x0, y0, x1, y1), score) for x0, y0, x1, y1, score in look.boxes]


def _match(chains: list[Chain], found: list[Seen], fps: float) -> set[int]:
    """Give each chain its best detection, best pairs first; returns the numbers of the detections given away."""
    pairs = []
    for row, chain in enumerate(chains):
        for column, seen in enumerate(found):
            near = nearness(predicted(chain, seen.frame, fps), seen.box)
            if near > 0:
                pairs.append((-near, row, column))
    rows: set[int] = set()
    columns: set[int] = set()
    for _, row, column in sorted(pairs):
        if row not in rows and column not in columns:
            chains[row].append(found[column])
            rows.add(row)
            columns.add(column)
    return columns


def nearness(expected: Box, found: Box, reach: float = 0.8) -> float:
    """0 for boxes that cannot be the same face, up to 1 for equal ones: distance and size in box sizes."""
    size_a, size_b = size_of(expected), size_of(found)
    ratio = min(size_a, size_b) / max(size_a, size_b, 1e-6)
    if ratio < 0.45:
        return 0.0
    (ax, ay), (bx, by) = centre(expected), centre(found)
    distance = hypot(ax - bx, ay - by) / max(size_a, size_b, 1e-6)
    return max(0.0, 1.0 - distance / reach) * ratio


def predicted(chain: Chain, frame: int, fps: float) -> Box:
    """The last box carried on by the speed of the last moments, which fades within the hold."""
    return moved(chain[-1].box, *drift(chain, frame, fps))


def drift(chain: Sequence[Seen], frame: int, fps: float) -> tuple[float, float]:
    last = chain[-1]
    memory = max(1.0, HEADING_S * fps)
    # From the end, because a chain of hours is asked at every look.
    recent = takewhile(lambda seen: abs(last.frame - seen.frame) <= memory, islice(reversed(chain), 1, None))
    oldest = last
    for oldest in recent:
        pass
    if oldest.frame == last.frame:
        return 0.0, 0.0
    (ax, ay), (bx, by) = centre(oldest.box), centre(last.box)
    steps = min(abs(frame - last.frame), memory) / abs(last.frame - oldest.frame)
    return (bx - ax) * steps, (by - ay) * steps


def _adopt_earlier(chains: list[Chain], detections: Detections) -> list[Chain]:
    """Backwards: each chain takes the weak detections that led up to its first strong one."""
    taken = {(seen.frame, seen.box) for chain in chains for seen in chain}
    to_come = [chain[::-1] for chain in sorted(chains, key=lambda chain: (chain[0].frame, chain[0].box))]
    whole: list[Chain] = []
    waiting: list[Chain] = []
    for look in reversed(detections.looks):
        while to_come and to_come[-1][-1].frame > look.frame:
            waiting.append(to_come.pop())
        reach = look.frame + GAP_S * detections.fps
        whole += [chain for chain in waiting if chain[-1].frame > reach]
        waiting = [chain for chain in waiting if chain[-1].frame <= reach]
        reachable = [chain for chain in waiting if same_shot(detections.cuts, look.frame, chain[-1].frame)]
        free = [seen for seen in _seen(look) if (seen.frame, seen.box) not in taken]
        _match(reachable, free, detections.fps)
    return [chain[::-1] for chain in whole + waiting + to_come]


def _join(chains: list[Chain], detections: Detections) -> list[Chain]:
    """Chains that go on where another one ended, in the same shot, are one face that was lost for a while."""
    joined = sorted(chains, key=lambda chain: (chain[0].frame, chain[0].box))
    starts = [chain[0].frame for chain in joined]
    pairs = []
    for a, ended in enumerate(joined):
        end = ended[-1].frame
        within = range(bisect_right(starts, end), bisect_right(starts, end + GAP_S * detections.fps))
        for b in (b for b in within if same_shot(detections.cuts, end, starts[b])):
            near = nearness(ended[-1].box, joined[b][0].box, reach=1.2)
            if near > 0:
                pairs.append((-near, starts[b] - end, a, b))
    follower: dict[int, int] = {}
    following: set[int] = set()
    for _, _, a, b in sorted(pairs):
        if a not in follower and b not in following:
            follower[a] = b
            following.add(b)
    heads = [number for number in range(len(joined)) if number not in following]
    return [_follow(joined, follower, head) for head in heads]


def _follow(chains: list[Chain], follower: dict[int, int], head: int) -> Chain:
    whole = list(chains[head])
    while head in follower:
        head = follower[head]
        whole += chains[head]
    return whole


def same_shot(cuts: Sequence[int], a: int, b: int) -> bool:
    return bisect_right(cuts, a) == bisect_right(cuts, b)
