"""The privacy pauses of a recording: whatever a device still brought after the key was pressed is kept out of the case.

A device takes some tenths of a second to close its file and end, more on a busy machine; that tail lies sealed with the
rest, but nothing that is made of the recording has it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive.models import Recording, RecordingNote


class Pause(NamedTuple):
    """In seconds of the recording's clock, from the key pressed to the key released; one that nobody ended has no end."""

    from_s: float
    to_s: float


def pauses_of(session: Session, recording: Recording) -> list[Pause]:
    """As the station noted them, in order."""
    told = select(RecordingNote).where(
        RecordingNote.recording_id == recording.id, RecordingNote.kind == "pause"
    )
    keys = [
        (note.at_s, bool(note.data.get("on")))
        for note in session.scalars(told.order_by(RecordingNote.at_s, RecordingNote.id))
    ]
    return [
        Pause(at_s, next_s) for (at_s, is_on), (next_s, _) in pairwise([*keys, (math.inf, False)]) if is_on
    ]


def kept_s(start_s: float, duration_s: float, pauses: Sequence[Pause]) -> float:
    """How much of a segment is kept, from its beginning: it ends where a pause begins.

    A segment that begins while a pause lasts is none of it, unless most of it comes after: a device's time is known to
    some hundredths of a second only.
    """
    for pause in pauses:
        if pause.from_s <= start_s and start_s + duration_s / 2 < pause.to_s:
            return 0.0
        if start_s < pause.from_s < start_s + duration_s:
            return pause.from_s - start_s
    return duration_s
