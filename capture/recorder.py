"""Recording a rig for a given time: every input into short segments that are whole as soon as they are closed.

Video goes into Matroska (``.mkv``), sound into FLAC (``.flac``). Time: a Matroska segment plays on its own from 0; a
frame's time in the recording is ``start_s`` plus its time in the file (a camera whose first picture comes late has the
gap in its first segment). FLAC frames carry their sample number in the whole run; the first sample of a segment lies
at ``start_s``. Decoded one after the other, the segments of a run are exactly the frames and samples of the source. A
FLAC segment's header does not know its length: decode it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from capture.inputs import Inputs, InputState
from capture.rig import Rig
from capture.segments import CLOSED_LIST, Gap, Segment, closed_segments
from config.errors import DeviceFailed
from config.settings import CaptureSettings

__all__ = ["CLOSED_LIST", "Gap", "RecordingResult", "Segment", "closed_segments", "record"]

POLL_S = 0.05


@dataclass(frozen=True)
class RecordingResult:
    """``seconds`` is the length of the longest track; ``segments`` counts them by track."""

    seconds: float
    segments: dict[str, int]


def record(
    rig: Rig,
    folder: Path,
    seconds: float,
    segment_s: float,
    on_segment: Callable[[Segment], None],
    progress: Callable[[float], None],
    stop: threading.Event,
) -> RecordingResult:
    """Record every input of ``rig`` into ``folder`` for ``seconds``, or until ``stop``, or until files end.

    ``on_segment`` gets each segment once it is closed, synced to disk and hashed; per track in order. An input that
    dies is started again while the others go on: the next ``start_s`` shows the gap. Everything whole is handed on
    before any error. Raises DeviceFailed naming an input that delivered nothing at all or is down at the end, DiskFull,
    FfmpegMissing, and whatever ``on_segment`` raises.
    """
    recording = _Recording(on_segment)
    with Inputs(rig, CaptureSettings(segment_s=segment_s)) as inputs:
        inputs.record(folder, recording.keep, lambda _gap: None, limit_s=seconds)
        failed: DeviceFailed | None = None
        while failed is None and not recording.refused and inputs.problem is None:
            states = inputs.states().values()
            failed = next((_failure(each) for each in states if _is_hopeless(each)), None)
            progress(min(1.0, recording.seconds / seconds))
            if all(each.state == "ended" for each in states) or stop.wait(POLL_S):
                break
        down = next((_failure(each) for each in inputs.states().values() if each.state == "restarting"), None)
        inputs.stop()
    for error in (*recording.refused, inputs.problem, failed, down):
        if error is not None:
            raise error
    return RecordingResult(
        recording.seconds, {each.name: recording.counts.get(each.name, 0) for each in rig.inputs}
    )


def _is_hopeless(state: InputState) -> bool:
    return state.state == "failed" or (state.restarts > 0 and not state.recorded_s)


def _failure(state: InputState) -> DeviceFailed:
    return DeviceFailed(input=state.name, detail=state.detail)


class _Recording:
    """What was handed on, and the error of a caller who would not take it: it ends the recording."""

    def __init__(self, on_segment: Callable[[Segment], None]) -> None:
        self._on_segment = on_segment
        self.counts: dict[str, int] = {}
        self.seconds = 0.0
        self.refused: list[Exception] = []

    def keep(self, segment: Segment) -> None:
        try:
            self._on_segment(segment)
        except Exception as error:  # noqa: BLE001 - raised again at the end
            self.refused.append(error)
        self.counts[segment.track] = segment.index + 1
        self.seconds = max(self.seconds, round(segment.start_s + segment.duration_s, 6))
