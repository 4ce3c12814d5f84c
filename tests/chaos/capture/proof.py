"""The proof that nothing is lost, doubled or moved: what the core keeps, against what the devices sent.

Every picture and every block of sound tells when it was sent. The session's second 0 on the senders' clock is the median
of all there is; then everything must lie within :data:`IN_SYNC_S` of its time, on every track. What an input
brings in its first :data:`BRIEF_S`, while the machine is busy starting processes, has told its time a few times only
and may lie :data:`BRIEF_SYNC_S` off.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from processing.join import join_segments
from processing.stretch import stretched
from tests.chaos.capture.devices import (
    DARK,
    FPS,
    LOOP_S,
    PICTURES,
    RATE_HZ,
    STEP_PICTURE,
    STEP_SECOND,
    WIDTH,
    noise,
)

IN_SYNC_S = 0.040
BRIEF_S, BRIEF_SYNC_S = 2.0, 0.150
SEAM_S = 0.060  # between two segments of one run: one picture, and what a clock is put right by
SEEDS = {"expert": 1, "patient": 2}
_LOOK_S = 0.1
_STRETCHED = 0.02  # of its length at most, see processing.join


class Piece(NamedTuple):
    """A segment as the core keeps it, opened."""

    track: str
    index: int
    start_s: float
    duration_s: float
    path: Path

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s


class Hole(NamedTuple):
    from_s: float
    to_s: float
    reason: str


@dataclass
class Evidence:
    """``end_s``: when the session ended, on its own clock; ``holes``: the journalled gaps by track."""

    pieces: list[Piece]
    holes: dict[str, list[Hole]]
    end_s: float

    def of(self, track: str) -> list[Piece]:
        return [each for each in self.pieces if each.track == track]

    @property
    def interruptions(self) -> dict[str, list[Hole]]:
        """The holes after an input had begun: how soon it begins is a matter of how busy the machine is."""
        found = {
            track: [each for each in holes if each.reason != "late"] for track, holes in self.holes.items()
        }
        return {track: holes for track, holes in found.items() if holes}


def opened(house: Any, folder: Path) -> Evidence:
    """Everything the core keeps of the only recording, opened with the core's vault."""
    recording = house.recording()
    pieces = []
    for each in house.segments():
        path = folder / f"{each.track}-{each.index:05d}{'.mkv' if each.track == 'desk' else '.flac'}"
        house.archive.vault.open_file(recording.consultation_id, each.key, path)
        pieces.append(Piece(each.track, each.index, each.start_s, each.duration_s, path))
    holes: dict[str, list[Hole]] = {}
    for gap in house.notes("gap"):
        holes.setdefault(gap["track"], []).append(Hole(gap["from_s"], gap["to_s"], gap["reason"]))
    ends = [end["at_s"] for end in house.notes("end")]  # a full disk takes no note
    return Evidence(pieces, holes, min(ends, default=max(each.end_s for each in pieces)))


def prove(evidence: Evidence, folder: Path, *, first_s: float = 4.0) -> dict[str, float]:
    """Raises AssertionError with what is wrong. ``first_s``: how long an input may take to deliver at the start.

    Returns figures by track in s: the worst distance from its time, also in an input's first :data:`BRIEF_S`; what is
    covered; what is missing.
    """
    moments = {track: _moments(evidence, track) for track in ("desk", *SEEDS)}
    zero_s = float(np.median(np.concatenate([_differences(each) for each in moments.values()])))
    figures: dict[str, float] = {}
    for track, found in moments.items():
        pieces = evidence.of(track)
        _in_order(track, pieces)
        figures |= _covered(track, pieces, evidence, first_s)
        late_s = np.abs(unwrapped(_differences(found) - zero_s))
        allowed_s = np.array([_allowed_s(pieces, each.at_s) for each in found])
        worst = int((late_s / allowed_s).argmax())
        for name, limit_s in (("worst", IN_SYNC_S), ("brief_worst", BRIEF_SYNC_S)):
            figures[f"{track}_{name}_s"] = round(float(late_s[allowed_s == limit_s].max(initial=0.0)), 4)
        assert late_s[worst] <= allowed_s[worst], (
            f"{track}: {found[worst]} lies {late_s[worst] * 1000:.0f} ms off"
        )
    _joined_pictures(evidence, zero_s, folder)
    for track in SEEDS:
        _joined_sound(evidence, track, zero_s, folder)
    return figures


class Moment(NamedTuple):
    """Where something lies in the session, and where it lay in the senders' loop."""

    at_s: float
    sent_s: float


def _differences(moments: Sequence[Moment]) -> NDArray[np.float64]:
    """Senders' time less session's time, unwrapped to lie about the first one."""
    apart = np.array([each.sent_s - each.at_s for each in moments])
    return unwrapped(apart - apart[0]) + apart[0] % LOOP_S


def _moments(evidence: Evidence, track: str) -> list[Moment]:
    """Every picture, or the begin of every segment of sound whose samples are all there."""
    found = []
    for piece in evidence.of(track):
        if track == "desk":
            shown = pictures(piece.path)
            assert shown, f"{piece} has no picture"
            numbers = [number for _, number in shown]
            expected = [(numbers[0] + step) % PICTURES for step in range(len(numbers))]
            assert numbers == expected, f"{piece}: pictures are lost or doubled: {numbers}"
            assert abs(len(shown) / FPS - (piece.duration_s - shown[0][0])) < 1.5 / FPS, piece
            found += [Moment(piece.start_s + at_s, number / FPS) for at_s, number in shown]
        else:
            heard = samples(piece.path)
            assert abs(len(heard) / RATE_HZ - piece.duration_s) < 0.002, piece
            begin = place(heard, SEEDS[track])
            wanted = np.resize(np.roll(noise(SEEDS[track]), -begin), len(heard))
            assert np.array_equal(heard, wanted), f"{piece}: samples are lost or changed"
            found.append(Moment(piece.start_s, begin / RATE_HZ))
    return found


def place(heard: NDArray[np.int16], seed: int) -> int:
    """Where in its loop the sender was when ``heard`` begins."""
    loop, count = noise(seed), min(16, len(heard))
    hits = np.ones(len(loop), bool)
    for step in range(count):
        hits &= np.roll(loop, -step) == heard[step]
    (begin,) = np.flatnonzero(hits)
    return int(begin)


def _allowed_s(pieces: list[Piece], at_s: float) -> float:
    """How far what lies ``at_s`` in the session may be off: it depends on how long its input has lived by then."""
    begin_s = end_s = pieces[0].start_s
    for piece in pieces:
        if piece.start_s > at_s + SEAM_S:
            break
        if piece.start_s > end_s + SEAM_S:
            begin_s = piece.start_s
        end_s = piece.end_s
    return IN_SYNC_S if at_s - begin_s >= BRIEF_S else BRIEF_SYNC_S


def _in_order(track: str, pieces: list[Piece]) -> None:
    assert pieces, f"{track} has nothing"
    numbers = [each.index for each in pieces]
    assert numbers == sorted(set(numbers)), f"{track}: {numbers}"
    for before, after in itertools.pairwise(pieces):
        assert after.start_s > before.end_s - SEAM_S, f"doubled: {before} and {after}"


def _covered(track: str, pieces: list[Piece], evidence: Evidence, first_s: float) -> dict[str, float]:
    """The segments and the journalled gaps, together, are the session."""
    holes = evidence.holes.get(track, [])
    spans = sorted(
        [(each.start_s, each.end_s) for each in pieces] + [(each.from_s, each.to_s) for each in holes]
    )
    assert pieces[0].start_s < first_s or any(each.from_s < first_s for each in holes), (
        f"{track}: {spans[:3]}"
    )
    reached_s = spans[0][0]
    for begin_s, end_s in spans:
        assert begin_s <= reached_s + SEAM_S, (
            f"{track}: {reached_s:.3f} to {begin_s:.3f} s is not accounted for"
        )
        reached_s = max(reached_s, end_s)
    assert reached_s >= evidence.end_s - 0.75, f"{track}: nothing from {reached_s} to {evidence.end_s} s"
    for hole in holes:
        for piece in pieces:
            shared_s = min(hole.to_s, piece.end_s) - max(hole.from_s, piece.start_s)
            assert shared_s <= 0.6, f"{track}: {hole} is said to be missing, and is there: {piece}"
    covered_s = sum(each.duration_s for each in pieces)
    return {
        f"{track}_covered_s": round(covered_s, 2),
        f"{track}_gaps_s": round(evidence.end_s - covered_s, 2),
    }


def _joined_pictures(evidence: Evidence, zero_s: float, folder: Path) -> None:
    pieces = evidence.of("desk")
    out = folder / "joined.mkv"
    late_s = join_segments([each.path for each in pieces], out, [each.start_s for each in pieces])
    shown = pictures(out)
    assert len(shown) == sum(len(pictures(each.path)) for each in pieces)
    times = [at_s for at_s, _ in shown]
    assert times == sorted(set(times)), "pictures out of order"
    for at_s, number in shown:
        off_s = unwrapped(number / FPS - zero_s - (at_s + pieces[0].start_s + late_s))
        assert abs(off_s) <= _allowed_s(pieces, at_s + pieces[0].start_s + late_s) + 0.5 / FPS, (
            f"joined: the picture at {at_s:.3f} s lies {off_s * 1000:.0f} ms off"
        )


def _joined_sound(evidence: Evidence, track: str, zero_s: float, folder: Path) -> None:
    """Each tenth of a second that is covered is heard, within the tolerance, where it lies."""
    pieces = evidence.of(track)
    out = folder / f"joined-{track}.flac"
    join_segments([each.path for each in pieces], out, [each.start_s for each in pieces])
    joined, loop = samples(out), noise(SEEDS[track]).astype(np.float64)
    length = round(_LOOK_S * RATE_HZ)
    for piece in pieces:
        margin = round(_allowed_s(pieces, piece.start_s) * RATE_HZ)
        for at_s in np.arange(piece.start_s + SEAM_S, piece.end_s - _LOOK_S - SEAM_S, _LOOK_S):
            here = round((at_s - pieces[0].start_s) * RATE_HZ)
            sent = round((at_s + zero_s) * RATE_HZ)
            heard = joined[here : here + length]
            sought = loop[np.arange(sent - margin, sent + length + margin) % len(loop)]
            assert _is_heard(heard, sought), f"{track}: what was said at {at_s:.2f} s is not heard there"


def _is_heard(heard: NDArray[np.int16], sought: NDArray[np.float64]) -> bool:
    """A segment whose time was put right by a few milliseconds is joined a little longer or shorter than it was."""
    most = round(_STRETCHED * len(heard))
    for change in sorted(range(-most, most + 1), key=abs):
        evened = stretched(heard[:, None], len(heard) + change)[:, 0].astype(np.float64)
        if np.correlate(sought, evened).max() > 0.5 * max(1.0, float(evened @ evened)):
            return True
    return False


def unwrapped(apart_s: Any) -> Any:
    """Seconds that went around the senders' loop any number of times, as near to 0 as that allows."""
    return (apart_s + LOOP_S / 2) % LOOP_S - LOOP_S / 2


def pictures(path: Path) -> list[tuple[float, int]]:
    """(time in the file in s, number in the senders' loop) of every picture; decoding stops at nothing."""
    found = []
    with av.open(str(path)) as media:
        for frame in media.decode(video=0):
            bright = frame.to_ndarray()[: frame.height, : frame.width]
            half = WIDTH // 2
            second = round((float(bright[:, 10 : half - 10].mean()) - DARK) / STEP_SECOND)
            number = round((float(bright[:, half + 10 : -10].mean()) - DARK) / STEP_PICTURE)
            found.append((float(frame.time or 0.0), second * FPS + number))
    return found


def samples(path: Path) -> NDArray[np.int16]:
    with av.open(str(path)) as media:
        blocks = [frame.to_ndarray().reshape(-1) for frame in media.decode(audio=0)]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int16)
