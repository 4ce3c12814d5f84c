"""How far apart the inputs of a long session lie, in real time, with devices whose clocks run fast and slow.

    python -m tests.chaos.capture.long_session --minutes 120

The station records live network devices for as long as it says; the core is a process of its own. Then every picture
and every segment of sound that the core keeps is compared with the time at which it was sent. Prints one line of JSON:
for each track the clock's true error and the one noted at the end, and in how many milliseconds of its true time the
worst moment of each quarter of an hour lies.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tests.chaos.capture.devices import FPS, RATE_HZ
from tests.chaos.capture.house import TRACKS, House, house
from tests.chaos.capture.proof import (
    BRIEF_S,
    SEEDS,
    Evidence,
    Moment,
    opened,
    pictures,
    place,
    samples,
    unwrapped,
)

DRIFT_PPM = {"desk": 40.0, "expert": -60.0, "patient": 100.0}
QUARTER_S = 900.0
SAY_EVERY_S = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120.0)
    minutes = parser.parse_args().minutes
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with house(folder, drift_ppm=DRIFT_PPM, segment_s=4) as room:
            room.record()
            _let_pass(room, 60 * minutes)
            room.stop()
            evidence = opened(room, folder)
            noted = {note["track"]: note["drift_ppm"] for note in room.notes("clock")}
        print(json.dumps({"minutes": minutes, **_figures(evidence, noted)}))


def _let_pass(room: House, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(SAY_EVERY_S, max(0.0, end - time.monotonic())))
        print(json.dumps(room.recorded_s()), flush=True)


def _figures(evidence: Evidence, noted_ppm: dict[str, float]) -> dict[str, Any]:
    sent = {track: list(_sent(evidence, track)) for track in TRACKS}
    zero_s = 0.0
    for _ in range(3):
        zero_s += float(
            np.median(np.concatenate([_off_s(each, track, zero_s) for track, each in sent.items()]))
        )
    return {
        track: {
            "clock_ppm": DRIFT_PPM[track],
            "noted_ppm": noted_ppm.get(track),
            "gaps": len(evidence.holes.get(track, [])),
            "covered_s": round(sum(piece.duration_s for piece in evidence.of(track)), 1),
            "worst_ms": _worst_ms(found, _off_s(found, track, zero_s)),
        }
        for track, found in sent.items()
    }


def _sent(evidence: Evidence, track: str) -> Iterator[Moment]:
    for piece in evidence.of(track):
        if piece.end_s < BRIEF_S:
            continue
        if track in SEEDS:
            yield Moment(piece.start_s, place(samples(piece.path), SEEDS[track]) / RATE_HZ)
        else:
            yield from (Moment(piece.start_s + at_s, number / FPS) for at_s, number in pictures(piece.path))


def _off_s(moments: list[Moment], track: str, zero_s: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """How much later than in the session each moment was sent, when the session began ``zero_s`` on the true clock."""
    rate = 1 + DRIFT_PPM[track] * 1e-6
    apart = np.array([each.sent_s - (each.at_s + zero_s) * rate for each in moments])
    return unwrapped(apart) / rate


def _worst_ms(moments: list[Moment], off_s: np.ndarray[Any, np.dtype[np.float64]]) -> list[float]:
    quarters = (np.array([each.at_s for each in moments]) // QUARTER_S).astype(int)
    return [round(1000 * float(np.abs(off_s[quarters == one]).max()), 1) for one in np.unique(quarters)]


if __name__ == "__main__":
    main()
