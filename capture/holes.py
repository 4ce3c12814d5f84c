"""What is missing of a recording though no gap was journalled: a station that is killed tells nothing any more."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from capture.entries import Kept, Note
from capture.segments import Gap

SEAM_S = 0.1  # segments of one run meet within a picture and what their clock is put right by


def untold_gaps(kept: list[Kept], notes: Iterable[Note]) -> list[Note]:
    """Notes for the holes between segments, on the session's clock in s, of which ``notes`` says nothing.

    An input that died and came back tells its gap with its next segment. Where the station died meanwhile, that
    segment was found later, and the hole before it was told by nobody.
    """
    told = [note.data for note in notes if note.kind == "gap"]
    found = []
    for track in sorted({each.track for each in kept}):
        spans = [(each.start_s, each.start_s + each.duration_s) for each in kept if each.track == track]
        spans += [(gap["from_s"], gap["to_s"]) for gap in told if gap.get("track") == track]
        reached_s = min(spans)[0]
        for begin_s, end_s in sorted(spans):
            if begin_s > reached_s + SEAM_S:
                found.append(Note("gap", reached_s, asdict(Gap(track, reached_s, begin_s, "station"))))
            reached_s = max(reached_s, end_s)
    return found
