"""The agent: one consultation from the light check to the core's confirmation. It always calls the core.

Order of a capture: look at the light, ask the core to open the recording (refused without a signed consent), and
only then start the devices. Closed segments are uploaded while recording goes on; when the network is away the
recording continues and the spool keeps everything until :func:`resume` or this call brings it home.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from capture.core import Core
from capture.frames import grab_frames
from capture.lighting import check_light
from capture.recorder import Segment, record
from capture.rig import Rig, ffmpeg_binary
from capture.spool import Session, Spool
from config.errors import Conflict, ConsentRefused, EmptyMedia, Unavailable, YianError
from config.settings import CaptureSettings

OPEN_TRIES = 3
TRIES_AFTER_END = 6  # 1, 2, 4, 8, 16, ... s apart: about half a minute by default
CONFIRM_ROUNDS = 3
LIGHT_FRAMES = 3
UPLOAD_SHARE = 0.1  # of the progress bar
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class CaptureResult:
    """``uploaded`` false: everything is in the spool, ``problem`` (code and data) says why it is not at the core."""

    recording: str
    consultation: str
    case: str | None
    seconds: float
    segments: dict[str, int]
    uploaded: bool
    problem: dict[str, Any] | None
    light: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def capture(
    rig: Rig,
    consultation: str,
    seconds: float,
    settings: CaptureSettings,
    home: Path,
    progress: Callable[[float], None],
    stop: threading.Event | None = None,
) -> CaptureResult:
    """Record ``consultation`` for ``seconds`` (or until ``stop``, or until files end) and upload it.

    Raises, with nothing recorded: ConsentRefused and its kinds, CoreUnreachable, NotLoggedIn, Forbidden, NotFound,
    FfmpegMissing, DeviceFailed of the light check. Raises after everything whole was kept and, where the core answers, uploaded:
    DeviceFailed, DiskFull; and ConsentRefused when the core withdraws its yes in mid-session, which stops recording
    at once. A core lost in mid-session is no error: see :class:`CaptureResult`.
    """
    for each in rig.inputs:
        ffmpeg_binary(each.input)  # a station that cannot record does not ask to
    light = _light(rig, settings)
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    ending = stop or threading.Event()
    with Core(settings) as core, Spool(home) as spool:
        recording = _open(core, rig, consultation, light, started_at, settings.upload_retry_s)
        tracks = {each.name: {"kind": str(each.kind), "role": str(each.role)} for each in rig.inputs}
        with spool.claim(recording):
            session = spool.open(recording, consultation, started_at, tracks)
            upload = _Upload(core, spool, session, settings.upload_retry_s, on_refused=ending.set)
            upload.start()

            def keep(segment: Segment) -> None:
                spool.add(recording, segment)
                upload.more()

            def recorded(share: float) -> None:
                progress(share * (1 - UPLOAD_SHARE))

            try:
                record(rig, session.folder, seconds, settings.segment_s, keep, recorded, ending)
            finally:
                _close(spool, recording)
                upload.finish()
        if isinstance(upload.problem, ConsentRefused):
            raise upload.problem
        progress(1.0)
        return upload.result(light)


def resume(home: Path, settings: CaptureSettings) -> list[CaptureResult]:
    """Upload what earlier calls left in the spool, oldest first; recordings of a running call are left alone.

    A recording whose station was killed is closed here with the segments that were whole. Raises nothing for a
    core that is away or refuses (NotLoggedIn only without a token): each result says what became of its recording.
    """
    results = []
    away: YianError | None = None
    with Core(settings) as core, Spool(home) as spool:
        for session in spool.unfinished():
            with spool.claim(session.recording) as mine:
                if not mine:
                    continue
                _close(spool, session.recording)
                upload = _Upload(core, spool, session, settings.upload_retry_s, on_refused=lambda: None)
                upload.problem = away  # waiting for the same core once is enough
                upload.start(resumed=True)
                upload.finish()
                away = upload.problem if isinstance(upload.problem, Unavailable) else None
                results.append(upload.result(None))
    return results


def _close(spool: Spool, recording: str) -> None:
    """End a recording however it ended: what was closed and not yet journalled counts too."""
    spool.recover(recording)
    spool.mark_recorded(recording)


def _light(rig: Rig, settings: CaptureSettings) -> dict[str, Any] | None:
    if rig.light is None:
        return None
    frames = grab_frames(rig, rig.light.camera, LIGHT_FRAMES) if rig.light.camera else None
    return check_light(frames, rig.light, settings).to_dict()


def _open(
    core: Core, rig: Rig, consultation: str, light: dict[str, Any] | None, started_at: str, retry_s: float
) -> str:
    body = {"rig": rig.public_dict(), "light": light, "started_at": started_at}
    key = str(uuid.uuid4())
    for attempt in range(OPEN_TRIES - 1):
        try:
            return core.open(consultation, body, key)
        except Unavailable:
            time.sleep(min(2.0**attempt, retry_s))
    return core.open(consultation, body, key)


class _Upload:
    """Brings one recording to the core in a thread of its own, until it is complete there or hope is given up."""

    def __init__(
        self, core: Core, spool: Spool, session: Session, retry_s: float, on_refused: Callable[[], None]
    ) -> None:
        self._core, self._spool, self._session = core, spool, session
        self._retry_s, self._on_refused = retry_s, on_refused
        self._fresh, self._ended = threading.Event(), threading.Event()
        self._unsure = False
        self._rounds = 0
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)
        self.case: str | None = None
        self.problem: YianError | None = None

    def start(self, *, resumed: bool = False) -> None:
        """``resumed``: ask first what the core has already."""
        self._unsure = resumed
        self._thread.start()

    def more(self) -> None:
        """A new segment is in the spool."""
        self._fresh.set()

    def finish(self) -> None:
        """Nothing more will come: wait until all is at the core, or the core was away too often."""
        self._ended.set()
        self._fresh.set()
        self._thread.join()

    def result(self, light: dict[str, Any] | None) -> CaptureResult:
        seconds, extents = self._extent()
        counts = {name: extent["segments"] - len(extent["lost"]) for name, extent in extents.items()}
        return CaptureResult(
            recording=self._session.recording,
            consultation=self._session.consultation,
            case=self.case,
            seconds=seconds,
            segments=counts,
            uploaded=self.case is not None,
            problem=self.problem.to_dict() if self.problem else None,
            light=light,
        )

    def _run(self) -> None:
        failures = tries_after_end = 0
        while self.case is None and self.problem is None:
            try:
                self._step()
                failures = tries_after_end = 0
            except Unavailable as error:
                failures += 1
                tries_after_end += self._ended.is_set()
                if tries_after_end >= TRIES_AFTER_END:
                    self.problem = error
                else:
                    self._pause(min(2.0 ** (failures - 1), self._retry_s), error)
            except YianError as error:
                _log.error("upload_refused", recording=self._session.recording, code=error.code)
                self.problem = error
                if isinstance(error, ConsentRefused):
                    self._on_refused()

    def _pause(self, pause_s: float, error: YianError) -> None:
        _log.warning("upload_waits", recording=self._session.recording, pause_s=pause_s, code=error.code)
        if self._ended.is_set():
            time.sleep(pause_s)
        else:
            self._ended.wait(pause_s)

    def _step(self) -> None:
        """One piece of work; raises what the core says."""
        recording = self._session.recording
        if self._unsure:
            self._reconcile()
            self._unsure = False
        elif waiting := self._spool.pending(recording):
            self._core.put(recording, waiting[0])
            self._spool.mark_uploaded(recording, waiting[0].track, waiting[0].index)
        elif not self._ended.is_set():
            self._fresh.wait()
            self._fresh.clear()
        elif not self._spool.segments(recording):
            self._spool.complete(recording)
            raise EmptyMedia(name=recording, detail="nothing was recorded")
        elif self._reconcile():
            self._complete()

    def _reconcile(self) -> bool:
        """Make the spool agree with what the core lists, checksum by checksum; whether the core has everything."""
        recording = self._session.recording
        held = self._core.segments(recording)
        lost = 0
        for each in self._spool.segments(recording):
            confirmed = held.get((each.track, each.index)) == each.sha256
            self._spool.mark_uploaded(recording, each.track, each.index, confirmed=confirmed)
            lost += not confirmed
        self._rounds += 1
        if lost and self._rounds > CONFIRM_ROUNDS:
            raise Conflict(detail=f"the core lost {lost} segments again and again")
        return not lost

    def _complete(self) -> None:
        seconds, extents = self._extent()
        tracks = {name: self._session.tracks[name] | extent for name, extent in extents.items()}
        case = self._core.complete(self._session.recording, tracks, seconds)
        self._spool.complete(self._session.recording)
        self.case = case

    def _extent(self) -> tuple[float, dict[str, dict[str, Any]]]:
        """Seconds in all, and by track how many segments there were and which of them were lost for good."""
        segments = self._spool.segments(self._session.recording)
        seconds = max((each.start_s + each.duration_s for each in segments), default=0.0)
        extents: dict[str, dict[str, Any]] = {}
        for name in self._session.tracks:
            kept = {each.index for each in segments if each.track == name}
            if kept:
                count = max(kept) + 1
                extents[name] = {"segments": count, "lost": sorted(set(range(count)) - kept)}
        return round(seconds, 6), extents
