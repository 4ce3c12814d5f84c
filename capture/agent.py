"""The agent: one consultation from the light check to the core's confirmation. It always calls the core.

Order of a capture: look at the light, ask the core to open the recording (refused without a signed consent), and
only then start the devices. Closed segments are sealed and uploaded while recording goes on; when the network is away the
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
from capture.delivery import Delivery, extent_of
from capture.entries import Session
from capture.erasing import carry_out_decisions
from capture.frames import grab_frames
from capture.lighting import check_light
from capture.recorder import Segment, record
from capture.rig import Rig, ffmpeg_binary
from capture.seal import keep_facts
from capture.spool import Spool
from config.errors import ConsentRefused, EmptyMedia, Unavailable, YianError
from config.settings import CaptureSettings

ASK_TRIES = 3
TRIES_AFTER_END = 6  # 1, 2, 4, 8, 16, ... s apart: about half a minute by default
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

    Raises, with nothing recorded: ConsentRefused and its kinds, CoreUnreachable, NotLoggedIn, Forbidden, NotFound, BaseKeyChanged,
    FfmpegMissing, DeviceFailed of the light check. Raises after everything whole was kept and, where the core answers, uploaded:
    DeviceFailed, DiskFull; and ConsentRefused when the core withdraws its yes in mid-session, which stops recording
    at once. A core lost in mid-session is no error: see :class:`CaptureResult`.
    """
    for each in rig.inputs:
        ffmpeg_binary(each.input)  # a station that cannot record does not ask to
    light = _light(rig, settings)
    started_at = datetime.now(UTC)
    ending = stop or threading.Event()
    local = uuid.uuid4().hex
    with Core(settings) as core, Spool(home) as spool:
        recording = _ask(core, home, rig, consultation, light, started_at, local, settings.upload_retry_s)
        session = spool.open(
            local,
            consultation=consultation,
            kind="consultation",
            started_at=started_at,
            tracks={each.name: {"kind": str(each.kind), "role": str(each.role)} for each in rig.inputs},
            rig=rig.public_dict(),
            light=light,
        )
        spool.know(local, recording)
        upload = _Upload(core, spool, local, settings.upload_retry_s, on_refused=ending.set)
        upload.start()

        def keep(segment: Segment) -> None:
            spool.add(local, segment)
            upload.more()

        def recorded(share: float) -> None:
            progress(share * (1 - UPLOAD_SHARE))

        try:
            record(rig, session.folder, seconds, settings.segment_s, keep, recorded, ending)
        finally:
            spool.close(local)
            upload.finish()
        if isinstance(upload.problem, ConsentRefused):
            raise upload.problem
        progress(1.0)
        return upload.result(light)


def resume(home: Path, settings: CaptureSettings) -> list[CaptureResult]:
    """Upload what earlier calls, or the station, left in the spool, oldest first; what a living process records is left alone.

    A session whose station was killed is closed here with the segments that were whole. Raises nothing for a
    core that is away or refuses (NotLoggedIn only without a token): each result says what became of its recording.
    """
    uploads: list[_Upload] = []
    away: YianError | None = None
    with Core(settings) as core, Spool(home) as spool:
        for told in spool.interrupted():
            away = away or _close(core, home, spool, told.local)
        sessions = [each for each in spool.unfinished() if not spool.is_recorded(each.local)]
        for session in sessions:
            upload = _Upload(core, spool, session.local, settings.upload_retry_s)
            upload.problem = away  # waiting for the same core once is enough
            upload.run()
            away = upload.problem if isinstance(upload.problem, Unavailable) else away
            uploads.append(upload)
        for upload in uploads:
            # Those that let another session of the same visit go first.
            upload.run()
        if away is None:
            _erase(core, spool, settings.room)
        return [upload.result(None) for upload in uploads]


def _close(core: Core, home: Path, spool: Spool, local: str) -> YianError | None:
    """End a session however it ended; an error where what lies there plain could not be sealed yet."""
    try:
        keep_facts(home, core.station())
    except YianError as error:
        _log.warning("core_away", code=error.code)
    try:
        spool.close(local)
    except YianError as error:
        _log.warning("close_failed", local=local, code=error.code)
        return error
    return None


def _erase(core: Core, spool: Spool, room: str) -> None:
    try:
        carry_out_decisions(core, spool, room)
    except YianError as error:
        _log.warning("core_away", code=error.code)


def _light(rig: Rig, settings: CaptureSettings) -> dict[str, Any] | None:
    if rig.light is None:
        return None
    frames = grab_frames(rig, rig.light.camera, LIGHT_FRAMES) if rig.light.camera else None
    return check_light(frames, rig.light, settings).to_dict()


def _ask(
    core: Core,
    home: Path,
    rig: Rig,
    consultation: str,
    light: dict[str, Any] | None,
    started_at: datetime,
    local: str,
    retry_s: float,
) -> str:
    """The core's yes: the id of the recording. With it comes the key to seal to."""
    body = {
        "rig": rig.public_dict(),
        "light": light,
        "started_at": started_at.isoformat(timespec="milliseconds"),
    }

    def ask() -> str:
        keep_facts(home, core.station())
        return core.open(consultation, body, local)

    for attempt in range(ASK_TRIES - 1):
        try:
            return ask()
        except Unavailable:
            time.sleep(min(2.0**attempt, retry_s))
    return ask()


class _Upload:
    """Brings one session to the core, in a thread of its own while it is recorded, until it is complete there or hope
    is given up."""

    def __init__(
        self,
        core: Core,
        spool: Spool,
        local: str,
        retry_s: float,
        on_refused: Callable[[], None] = lambda: None,
    ) -> None:
        self._spool, self._local = spool, local
        self._delivery = Delivery(core, spool, local)
        self._retry_s, self._on_refused = retry_s, on_refused
        self._fresh, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)
        self._done = False
        self.problem: YianError | None = None

    def start(self) -> None:
        """While recording goes on."""
        self._thread.start()

    def run(self) -> None:
        """Now, for a session that is closed."""
        self._ended.set()
        self._run()

    def more(self) -> None:
        """A new segment is in the spool."""
        self._fresh.set()

    def finish(self) -> None:
        """Nothing more will come: wait until all is at the core, or the core was away too often."""
        self._ended.set()
        self._fresh.set()
        self._thread.join()

    def result(self, light: dict[str, Any] | None) -> CaptureResult:
        session = self._spool.session(self._local)
        seconds, extents = extent_of(self._spool.segments(self._local))
        counts = {name: extent["segments"] - len(extent["lost"]) for name, extent in extents.items()}
        return CaptureResult(
            recording=session.recording or session.local,
            consultation=session.consultation,
            case=session.case,
            seconds=seconds,
            segments=counts,
            uploaded=session.case is not None,
            problem=self.problem.to_dict() if self.problem else None,
            light=light,
        )

    def _run(self) -> None:
        failures = tries_after_end = 0
        while not self._done and self.problem is None:
            try:
                if not self._step():
                    return
                failures = tries_after_end = 0
            except Unavailable as error:
                failures += 1
                tries_after_end += self._ended.is_set()
                if tries_after_end >= TRIES_AFTER_END:
                    self.problem = error
                else:
                    self._pause(min(2.0 ** (failures - 1), self._retry_s), error)
            except YianError as error:
                _log.error("upload_refused", local=self._local, code=error.code)
                self.problem = error
                if isinstance(error, ConsentRefused):
                    self._spool.refuse(self._local, error)
                    self._on_refused()

    def _pause(self, pause_s: float, error: YianError) -> None:
        _log.warning("upload_waits", local=self._local, pause_s=pause_s, code=error.code)
        if self._ended.is_set():
            time.sleep(pause_s)
        else:
            self._ended.wait(pause_s)

    def _step(self) -> bool:
        """One piece of work; whether there may be more of it. Raises what the core says."""
        session: Session = self._spool.session(self._local)
        if session.state == "refused":
            self._delivery.ask_again()
            return True
        self._fresh.clear()
        ended = self._ended.is_set()
        step = self._delivery.step()
        if step == "done":
            self._done = True
            if not self._spool.segments(self._local):
                raise EmptyMedia(name=self._local, detail="nothing was recorded")
        elif step == "idle":
            if ended:
                return False
            self._fresh.wait()
        return True
