"""All inputs of a rig: watched, recorded, paused and resumed together, each supervised on its own.

An input that dies or falls silent is started again while the others go on; what is missing is told as a gap. The
station's threads never wait for a child, and a child never waits for the station.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import structlog
from numpy.typing import NDArray

from capture.commands import SOUND_RATE_HZ
from capture.rig import Camera, Microphone, Rig, ffmpeg_binary
from capture.runs import Job
from capture.supervised import Name, OnGap, OnSegment, Supervised
from capture.tap import Show
from config.errors import DiskFull, YianError
from config.settings import CaptureSettings

OnPicture = Callable[[str, bytes], None]
OnSound = Callable[[str, NDArray[np.float32], int], None]

DISK_RESERVE_MB = 64  # to close what is open, and for the journal
_TICK_S = 0.05
_RETRY_S = 1.0
_HANDING_ON_S = 30.0  # for callbacks that refuse what is handed on, at the end
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class InputState:
    """One input as of now; times in the session's seconds, ages in seconds.

    ``offset_ms``: how long after its start the device's own time began; ``drift_ppm``: how much faster than the
    host's clock it runs, None in the first minute and where the input's time is the session's own (files).
    ``gap_since_s``: since when nothing has been recorded. ``detail``: the last words, without secrets.
    """

    name: str
    state: Name
    recorded_s: float = 0.0
    restarts: int = 0
    gaps: int = 0
    gap_since_s: float | None = None
    last_data_age_s: float | None = None
    offset_ms: float | None = None
    drift_ppm: float | None = None
    detail: str = ""


class Inputs:
    """Every public method may be called from any thread but those of the callbacks.

    ``on_picture(name, jpeg)`` comes about once a second (a copied camera: with its keyframes),
    ``on_sound(name, samples (n,) mono, rate_hz)`` ten times a second; both late or not at all when they are slow. After
    an error nobody can mend while recording (a full disk), ``problem`` says it and everything has been closed.
    """

    def __init__(
        self,
        rig: Rig,
        settings: CaptureSettings,
        on_picture: OnPicture | None = None,
        on_sound: OnSound | None = None,
    ) -> None:
        self._segment_s = settings.segment_s
        self._pictures, self._sounds = Show("inputs-pictures"), Show("inputs-sounds")
        self._all = [Supervised(rig, each, self._shown_by(each, on_picture, on_sound)) for each in rig.inputs]
        self._job: Job | None = None
        self._paused = False
        self._closing = False
        self._on_segment: OnSegment = lambda _segment: None
        self._on_gap: OnGap = lambda _gap: None
        self._refused: Exception | None = None
        self.problem: YianError | None = None
        self._changed = threading.Condition(threading.RLock())
        self._handing_on, self._ended = threading.Lock(), threading.Event()
        self._threads = [
            threading.Thread(target=self._supervise, name="inputs", daemon=True),
            threading.Thread(target=self._hand_on, name="inputs-segments", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def watch(self, *, paused: bool = False) -> None:
        """Pictures and sound only, nothing is recorded; ``paused``: not even these before :meth:`resume`. Returns at once.
        Raises FfmpegMissing."""
        self._begin(Job(None, self._segment_s, time.monotonic()), paused=paused)

    def record(
        self,
        folder: Path,
        on_segment: OnSegment,
        on_gap: OnGap,
        from_s: float = 0.0,
        limit_s: float | None = None,
        zero: float | None = None,
        *,
        paused: bool = False,
    ) -> None:
        """Record every input into ``folder``; the session's clock stands at ``from_s`` now. Returns at once.

        ``zero``: the session's second 0 on the monotonic clock, where something else is timed by it too. ``paused``:
        nothing is captured before :meth:`resume`.

        A folder that an earlier station left behind is continued: numbers go on, and the time between is a gap of the
        reason "station". ``limit_s``: each input ends by itself after so many seconds. A callback that raises gets
        the same again a second later. Raises FfmpegMissing, and DiskFull when there is no room to begin.
        """
        folder.mkdir(parents=True, exist_ok=True)
        if (full := _disk_full(folder)) is not None:
            raise full
        self._end_job()
        self._on_segment, self._on_gap = on_segment, on_gap
        zero = time.monotonic() - from_s if zero is None else zero
        self._begin(Job(folder, self._segment_s, zero, from_s, limit_s), paused=paused)

    def hold(self) -> None:
        """Have every child end; returns at once, see :meth:`pause`."""
        self._paused = True  # seen at the next look, whoever has the lock now
        with self._changed:
            self._changed.notify_all()

    def pause(self) -> None:
        """Nothing is captured once this has returned, until :meth:`resume`: no child is running."""
        self.hold()
        with self._changed:
            self._changed.wait_for(lambda: all(each.run is None for each in self._all))

    def resume(self) -> None:
        with self._changed:
            self._paused = False
            self._changed.notify_all()

    def stop(self) -> None:
        """End the recording (or watching); every whole segment and every gap has been handed on when it returns.

        Raises what a callback went on raising for half a minute; closed_segments() still finds those segments.
        """
        self._end_job()

    def close(self) -> None:
        """Stop, and end the threads."""
        try:
            self._end_job()
        finally:
            with self._changed:
                self._closing = True
                self._changed.notify_all()
            self._ended.set()
            for thread in self._threads:
                thread.join()
            self._pictures.close()
            self._sounds.close()

    def states(self) -> dict[str, InputState]:
        """Every input by its name."""
        with self._changed:
            return {each.device.name: self._state(each) for each in self._all}

    def _state(self, each: Supervised) -> InputState:
        job, run = self._job, each.run
        gap_since_s = None
        if job is not None and each.hole is not None and each.over != "ended":
            gap_since_s = job.from_s if each.end_s is None else each.end_s
        offset_ms, drift_ppm, age_s, open_s = None, None, None, 0.0
        if run is not None and run.tap.last_data is not None:
            age_s = round(time.monotonic() - run.tap.last_data, 3)
            place = run.place(0)
            offset_ms = round((place.offset_s - run.spawned_s) * 1000, 1)
            drift_ppm = place.drift_ppm
            open_s = max(0.0, run.tap.media_s - run.handed_s) if run.lines is not None else 0.0
        return InputState(
            name=each.device.name,
            state=each.state(job, self._paused),
            recorded_s=round(each.handed_s + open_s, 3),
            restarts=each.restarts,
            gaps=each.gaps,
            gap_since_s=gap_since_s,
            last_data_age_s=age_s,
            offset_ms=offset_ms,
            drift_ppm=drift_ppm,
            detail=each.detail,
        )

    def _shown_by(
        self, device: Camera | Microphone, on_picture: OnPicture | None, on_sound: OnSound | None
    ) -> Callable[[Any], None] | None:
        name = device.name
        if isinstance(device, Camera):
            return on_picture and (lambda jpeg: self._pictures.put(on_picture, name, jpeg))
        return on_sound and (lambda block: self._sounds.put(on_sound, name, block, SOUND_RATE_HZ))

    def _begin(self, job: Job, *, paused: bool = False) -> None:
        for each in self._all:
            ffmpeg_binary(each.device.input)
        self._end_job()
        with self._changed:
            for each in self._all:
                each.forget()
            self.problem, self._refused, self._paused, self._job = None, None, paused, job
            self._changed.notify_all()

    def _end_job(self) -> None:
        with self._changed:
            job, self._job = self._job, None
            self._changed.notify_all()
            self._changed.wait_for(lambda: all(each.run is None for each in self._all))
        if job is None or job.folder is None:
            return
        self._hand_on_the_rest()
        for each in self._all:
            if (gap := each.last_gap(job)) is not None:
                self._on_gap(gap)

    def _hand_on_the_rest(self) -> None:
        deadline = time.monotonic() + _HANDING_ON_S
        while not self._hand_on_once():
            # A full disk does not become empty by waiting: what is closed is found again.
            if isinstance(self._refused, DiskFull) or time.monotonic() > deadline:
                assert self._refused is not None
                raise self._refused
            time.sleep(_RETRY_S)

    def _supervise(self) -> None:
        """Starts every child, so that all end with this thread; it ends last."""
        with self._changed:
            while not self._closing or any(each.run for each in self._all):
                for each in self._all:
                    self._tick(each)
                if self._job is not None and self._job.folder is not None:
                    self._watch_the_disk(self._job.folder)
                self._changed.notify_all()
                self._changed.wait(_TICK_S)

    def _tick(self, each: Supervised) -> None:
        try:
            each.tick(self._job, self._paused)
        except (YianError, OSError) as error:
            each.not_started(str(error))
            _log.error("input_not_started", input=each.device.name, error=type(error).__name__)

    def _watch_the_disk(self, folder: Path) -> None:
        if self.problem is None and not any(each.over == "failed" for each in self._all):
            self.problem = _disk_full(folder, sure=any(each.disk_full for each in self._all))
            if self.problem is not None:
                _log.error("disk_full", free_mb=self.problem.data["free_mb"])
        if self.problem is not None:
            for each in self._all:
                each.fail(self.problem.code)

    def _hand_on(self) -> None:
        pause_s = _TICK_S
        while not self._ended.wait(pause_s):
            pause_s = 2 * _TICK_S if self._hand_on_once() else _RETRY_S

    def _hand_on_once(self) -> bool:
        """Whether every callback took what it was given."""
        refused: Exception | None = None
        with self._handing_on:
            for each in self._all:
                try:
                    each.hand_on(self._on_segment, self._on_gap)
                except Exception as error:  # noqa: BLE001 - the other tracks go on
                    _log.exception("segment_refused", input=each.device.name)
                    refused = error
        self._refused = refused
        return refused is None


def _disk_full(folder: Path, *, sure: bool = False) -> DiskFull | None:
    free_mb = shutil.disk_usage(folder).free // 2**20
    if free_mb >= DISK_RESERVE_MB and not sure:
        return None
    return DiskFull(path=str(folder), needed_mb=DISK_RESERVE_MB, free_mb=free_mb)
