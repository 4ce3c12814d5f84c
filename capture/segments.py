"""What is on the disk of a recording: closed segments, and where each lies on the session's clock.

Every track has a folder of its own, ``<folder>/<track>/``, with ``00000.mkv`` or ``00000.flac`` and so on. Each run of
ffmpeg appends to a list of its own (``closed.csv``, after a restart ``closed-00012.csv`` from segment 12 on) what it
has closed, in its own time. ``clock.csv`` says where that time lies in the session. So a station that was killed
finds everything again (:func:`closed_segments`).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

CLOSED_LIST = "closed.csv"
CLOCK_LIST = "clock.csv"

Reason = Literal["pause", "late", "stalled", "died", "station"]


@dataclass(frozen=True)
class Segment:
    """One closed piece of a track. ``start_s`` is on the session's clock: seconds since the session began.

    ``drift_ppm`` is how much faster the device's clock runs than the host's, as far as it was known by then.
    """

    track: str
    index: int
    path: Path
    sha256: str
    size: int
    start_s: float
    duration_s: float
    drift_ppm: float | None = None


@dataclass(frozen=True)
class Gap:
    """A stretch of the session (s, on its clock) of which a track has nothing."""

    track: str
    from_s: float
    to_s: float
    reason: Reason


class Place(NamedTuple):
    """From segment ``number`` on, a run's time 0 lies at ``offset_s`` of the session."""

    number: int
    offset_s: float
    drift_ppm: float | None


class Closed(NamedTuple):
    """One line of a list: a file and its extent in the run's own time."""

    number: int
    name: str
    begin_s: float
    end_s: float


class ClosedList:
    """The list of one run, read as it grows; an unfinished line is left for the next time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0

    def more(self) -> list[Closed]:
        """What was closed since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._read)
                raw = file.read()
        except FileNotFoundError:
            return []
        whole = raw[: raw.rfind(b"\n") + 1]
        self._read += len(whole)
        return [each for line in whole.decode("utf-8", "replace").splitlines() if (each := _closed(line))]


def _closed(line: str) -> Closed | None:
    """None for what the loss of power made of a line."""
    try:
        name, begin, end = line.rsplit(",", 2)
        return Closed(int(name.partition(".")[0]), name, float(begin), float(end))
    except ValueError:
        return None


def list_name(first_index: int) -> str:
    """The list of the run whose first segment is ``first_index``."""
    return CLOSED_LIST if first_index == 0 else f"closed-{first_index:05d}.csv"


def closed_segments(folder: Path, track: str, start: int = 0) -> list[Segment]:
    """The segments from number ``start`` on that ffmpeg has closed, synced and hashed now.

    A line that is not finished, and a file that lost its bytes with the power, do not count.
    """
    place = folder / track
    places = _places(place)
    found = []
    for each in _all_closed(place):
        path = place / each.name
        if each.number < start or not path.is_file() or path.stat().st_size == 0:
            continue
        known = [known for known in places if known.number <= each.number]
        last = max(known, key=lambda known: known.number) if known else Place(0, 0.0, None)
        found.append(sealed_off(track, each, path, last))
    return found


def _all_closed(place: Path) -> list[Closed]:
    lists = place.glob("closed*.csv")
    return sorted(closed for path in lists for closed in ClosedList(path).more())


def last_end_s(folder: Path, track: str) -> float | None:
    """Where the last closed segment of a track ends on the session's clock; None without any."""
    listed = _all_closed(folder / track)
    if not listed:
        return None
    known = [known for known in _places(folder / track) if known.number <= listed[-1].number]
    offset_s = max(known, key=lambda known: known.number).offset_s if known else 0.0
    return round(offset_s + listed[-1].end_s, 6)


def next_index(folder: Path, track: str) -> int:
    """The number of the next segment. What was open when a run was killed is no segment: it is removed."""
    listed = _all_closed(folder / track)
    number = listed[-1].number + 1 if listed else 0
    for path in (folder / track).glob("[0-9]*.*"):
        if path.stem.isdigit() and int(path.stem) >= number:
            path.unlink()
    return number


def sealed_off(track: str, closed: Closed, path: Path, place: Place) -> Segment:
    """A closed file as a segment: synced to the disk, hashed, and put on the session's clock.

    A network camera may begin with pictures from before the session: nothing lies before its 0.
    """
    with path.open("rb") as file:
        os.fsync(file.fileno())
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.tell()
    return Segment(
        track,
        closed.number,
        path,
        digest,
        size,
        max(0.0, round(place.offset_s + closed.begin_s, 6)),
        round(closed.end_s - closed.begin_s, 6),
        place.drift_ppm,
    )


def write_place(folder: Path, place: Place, *, sync: bool = True) -> None:
    """Append to ``clock.csv`` of a track's folder, with ``sync`` on the disk when this returns."""
    drift = "" if place.drift_ppm is None else f"{place.drift_ppm:.2f}"
    with (folder / CLOCK_LIST).open("a", encoding="ascii") as file:
        file.write(f"{place.number},{place.offset_s:.6f},{drift}\n")
        if not sync:
            return
        file.flush()
        os.fsync(file.fileno())
    directory = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _places(folder: Path) -> list[Place]:
    """The last word about each index; a line cut short by the power does not count."""
    try:
        raw = (folder / CLOCK_LIST).read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return []
    found: dict[int, Place] = {}
    for line in raw[: raw.rfind("\n") + 1].splitlines():
        with contextlib.suppress(ValueError):
            number, offset_s, drift = line.split(",")
            found[int(number)] = Place(int(number), float(offset_s), float(drift) if drift else None)
    return list(found.values())
