"""How fast the devices' clocks run, among the notes of a session: every few minutes, and the last word at its end."""

from __future__ import annotations

from capture.entries import Note
from capture.journal import Journal

EVERY_S = 300.0


def note_drift(journal: Journal, local: str, track: str, every_s: float = EVERY_S) -> Note | None:
    """What is to be noted of a track's clock now: its newest measure, unless one is noted that is less than ``every_s`` older.

    The note has kind ``clock``, ``track`` and ``drift_ppm`` (parts per million that the device's clock runs faster than
    the host's), and lies at the end of the segment that was measured last, in seconds of the session.
    """
    measured = journal.run(
        "select start_s + duration_s, drift_ppm from station_segment"
        " where local = ? and track = ? and drift_ppm is not null order by number desc limit 1",
        local,
        track,
    )
    if not measured:
        return None
    at_s, drift_ppm = measured[0]
    noted = journal.run(
        "select max(at_s) from station_note where local = ? and kind = 'clock' and json_extract(data, '$.track') = ?",
        local,
        track,
    )[0][0]
    if noted is not None and at_s - noted < max(every_s, 1e-3):
        return None
    return Note("clock", round(at_s, 3), {"track": track, "drift_ppm": drift_ppm})
