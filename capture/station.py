"""The station in the consulting room: one session at a time, its gates, and everything that goes on beside it.

It works with the core away: the list of today is the last one told, what is recorded waits sealed in the spool. Every
command answers when its outcome is certain; what goes on by itself (light every ten minutes, sound all the time, the
list, the heartbeat, automatic start and stop) is done by :meth:`Station.tick`, twice a second.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any, Literal, Self

import structlog

from capture.desk import Desk
from capture.health import AWAY, Doubt, health_of
from capture.heartbeat import Heartbeat
from capture.inputs import Inputs
from capture.light_watch import LightWatch
from capture.login import Login
from capture.presence import Presence
from capture.preview import Preview
from capture.rig import Camera, Microphone, Rig
from capture.running import Chapter, Running
from capture.segments import Gap, Segment
from capture.session_clock import keep_zero, kept_zero
from capture.sound_watch import SoundWatch
from capture.space import SpaceWatch, check_space
from capture.spool import Note, Spool
from capture.timetable import Timetable
from capture.today import Today, Visit
from capture.upload import Uploader
from config.errors import (
    ConsentMissing,
    ConsentRefused,
    ConsentWithdrawn,
    DiskFull,
    Forbidden,
    NotFound,
    NotLoggedIn,
    NotReady,
    YianError,
)
from config.settings import Settings

State = Literal["idle", "checking", "ready", "recording", "paused", "uploading", "error"]

TICK_S = 0.5
# Nobody waits longer than this between pressing the key and being recorded, whatever the network does.
ASK_S = 2.0
# What the core says to a station where nobody, or the wrong person, is logged in.
NOBODY = frozenset({NotLoggedIn.code, Forbidden.code})
_log = structlog.get_logger(__name__)


class Station:
    """Everything one consulting room does. Safe to use from several threads."""

    def __init__(self, rig: Rig, settings: Settings) -> None:
        self._rig, self._settings = rig, settings
        self._home = settings.home.resolve()
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._session: Running | None = None
        self._problem: YianError | None = None
        self.preview = Preview()
        self._sound = SoundWatch(rig)
        self._space = SpaceWatch(rig, settings)
        self._inputs = Inputs(rig, settings.capture, self.preview.take, self._sound.listen)
        self._presence = Presence(rig.inputs)
        self._spool = Spool(self._home)
        self._login = Login(settings)
        self._desk = Desk(settings, self._login)
        self._uploader = Uploader(settings, self._spool, self._login)
        self.today = Today(self._home, settings.zone, self._desk.today)
        self._light = LightWatch(rig, settings, self.preview.frames)
        self._timetable = Timetable(settings.capture.planned_minutes)
        self._heartbeat = Heartbeat()
        self._thread = threading.Thread(target=self._run, name="station", daemon=True)

    def __enter__(self) -> Self:
        """Open the devices, begin to upload what waits, and listen."""
        self._watch()
        self._uploader.start()
        self._desk.start(self.today, self.report)
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        """End in order: a session that runs is closed and kept."""
        self._ended.set()
        self._thread.join()
        with self._lock:
            if self._session is not None:
                self._close("station")
        self._desk.stop()
        self._uploader.stop()
        self._inputs.close()
        self._presence.close()
        self._spool.shut()

    def _watch(self) -> None:
        """Pictures and levels while nothing is recorded; none where a session died in its privacy pause, until a person
        has said what becomes of it."""
        paused = self._is_one_paused()
        self._cover(paused)
        self._inputs.watch(paused=paused)

    def _is_one_paused(self) -> bool:
        """Whether a session died in its privacy pause: somebody who asked for privacy may still sit there."""
        return any(each.paused for each in self._spool.interrupted())

    def _cover(self, paused: bool) -> None:
        """In a pause nobody is to be seen, only whether the devices are there."""
        if paused:
            self.preview.cover()
            self._presence.watch()
        else:
            self._presence.rest()
            self.preview.uncover()

    # What a person does.

    def start(self, consultation: str, override: str = "") -> str:
        """Begin to record; the session's local id. ``override``: why, where the light or the sound is not right.

        Raises, with nothing recorded: NotFound, ConsentMissing, NotReady with the reason (busy, interrupted, light, sound,
        sealing), DiskFull when the planned session does not fit.
        """
        # A signature given a minute ago, or withdrawn; without a core that answers soon the last list counts.
        self.ask_for_today()
        return self._start(consultation, override)

    def ask_for_today(self) -> None:
        """Have the core tell today's list now; one that does not answer soon keeps nobody waiting."""
        asking = threading.Thread(target=self._refresh_today, name="today", daemon=True)
        asking.start()
        asking.join(ASK_S)

    def _refresh_today(self) -> None:
        with contextlib.suppress(YianError):
            self.today.refresh()

    def _start(self, consultation: str, override: str = "", *, by_plan: bool = False) -> str:
        with self._lock:
            if self._session is not None:
                raise NotReady(reason="busy")
            visit = self._permitted(consultation)
            planned_s = self._planned_s(visit, by_plan=by_plan)
            check_space(self._rig, planned_s, self._settings)
            doubts = self.doubts()
            if doubts and not override.strip():
                raise NotReady(reason=doubts[0].code)
            local = uuid.uuid4().hex
            self._spool.open(
                local,
                consultation=consultation,
                kind=visit.kind,
                started_at=datetime.now(UTC),
                tracks={each.name: {"kind": each.kind, "role": each.role} for each in self._rig.inputs},
                rig=self._rig.public_dict(),
                light=self._light.newest,
            )
            self._session, self._problem = Running(local, visit, time.monotonic(), planned_s), None
            if doubts:
                codes = [doubt.code for doubt in doubts]
                self._note("override", {"doubts": codes, "reason": override.strip()[:200]})
            self._begin(0.0)
            return local

    def resume_interrupted(self, local: str) -> None:
        """Go on with a session whose station died; one that was paused goes on paused. Raises NotFound, NotReady,
        ConsentMissing."""
        self.ask_for_today()  # the patient may have taken it back while the station was away
        with self._lock:
            if self._session is not None:
                raise NotReady(reason="busy")
            visit = self._permitted(self._interrupted(local).consultation)
            zero = kept_zero(self._spool.folder(local))
            asked = time.monotonic()
            from_s = self._spool.continue_from(local, None if zero is None else asked - zero)
            self._session = Running(local, visit, asked - from_s, from_s + self._planned_s(visit))
            self._session.recall(self._spool.notes(local))
            self._begin(from_s)

    def _permitted(self, consultation: str) -> Visit:
        """The visit, if it may be recorded. Raises NotFound, ConsentMissing, ConsentWithdrawn."""
        visit = self.today.find(consultation)
        if self._spool.is_withdrawn(consultation):
            # The list may be older than the patient's word.
            raise ConsentWithdrawn(consultation=consultation, purpose="record")
        if not visit.may_record and visit.consent == "signed":
            raise NotReady(reason="recorded")
        if not visit.may_record:
            raise ConsentMissing(consultation=consultation, purpose="record")
        return visit

    def _planned_s(self, visit: Visit, *, by_plan: bool = False) -> float:
        """How long from now. What a person begins has its whole length, however late; what begins by itself ends as planned,
        for nobody may be there to see that the next patient has come."""
        left_s = (self._timetable.end(visit) - datetime.now(UTC)).total_seconds()
        length_s = self._timetable.length(visit).total_seconds()
        return left_s if by_plan else max(length_s, left_s) if visit.automatic else length_s

    def close_interrupted(self, local: str) -> None:
        """Nothing more will come of a session whose station died: it is uploaded as it is."""
        with self._lock:
            self._interrupted(local)
            self._spool.close(local)
            if self._session is None:
                self._watch()
        self._uploader.wake()

    def pause(self) -> None:
        """Privacy pause: every input is blacked out and muted until :meth:`resume`. Pausing twice changes nothing."""
        pressed = self._session
        pressed_s = pressed.at_s if pressed is not None else 0.0
        if pressed is not None:
            self._hold()
        with self._lock:
            session = self._session
            if session is None and pressed is not None:
                self._watch()  # it ended just now
            session = self._running()
            if session.paused_since_s is None:
                session.paused_since_s = pressed_s if session is pressed else session.at_s
                self._cover(True)
                try:
                    # A station that dies while its devices end is to go on paused.
                    self._note("pause", {"on": True}, session.paused_since_s)
                finally:
                    self._inputs.pause()

    def _hold(self) -> None:
        """Before anything else where privacy is asked for: whoever has the lock may be waiting for a slow disk."""
        self.preview.cover()
        self._inputs.hold()

    def resume(self) -> None:
        with self._lock:
            session = self._running()
            if session.paused_since_s is not None:
                self._cover(False)
                self._inputs.resume()
                session.paused_since_s = None
                self._note("pause", {"on": False})

    def stop(self) -> None:
        """End the session: every whole segment is kept and sent. Stopping twice changes nothing."""
        with self._lock:
            if self._session is not None:
                self._close("stopped")

    def chapter(self, chapter: Chapter) -> None:
        """Mark where a part of the consultation begins."""
        with self._lock:
            session = self._running()
            session.chapters.append({"at_s": session.at_s, "chapter": chapter})
            self._note("chapter", {"chapter": chapter})

    def paper(self, in_view: bool) -> None:
        """Mark from when until when a paper that names the patient is in view, for those who hide it."""
        with self._lock:
            session = self._running()
            if in_view != (session.paper_since_s is not None):
                session.paper_since_s = session.at_s if in_view else None
                self._note("paper", {"on": in_view})

    def withdraw(self, consultation: str, reason: str = "") -> None:
        """The patient takes the consent back: recording stops at once, what there is stays sealed and goes nowhere.

        The core is told now or as soon as it can be reached. Raises NotFound for what is neither recorded now nor of today.
        """
        running = self._session
        is_held = running is not None and running.visit.id == consultation
        if is_held:
            self._hold()
        with self._lock:
            if is_held and self._session is None:
                self._watch()  # it ended just now
            if self._session is not None and self._session.visit.id == consultation:
                with contextlib.suppress(
                    YianError
                ):  # a full disk takes no note; it may not keep this from ending
                    self._note("withdrawal", {})
                self._close("withdrawn")
            elif not self._close_interrupted_of(consultation):
                self.today.find(consultation)
            elif self._session is None:
                self._watch()
            self._spool.withdraw(consultation, reason[:200])
        self._uploader.wake()

    def _close_interrupted_of(self, consultation: str) -> bool:
        """Whether there was a session of it whose station died. Nobody is asked any more whether it goes on."""
        found = [each for each in self._spool.interrupted() if each.consultation == consultation]
        for each in found:
            with contextlib.suppress(YianError):  # a full disk: it stays, sealed, and is not recorded
                self._spool.close(each.local)
        return bool(found)

    def check_light(self) -> dict[str, Any]:
        """Measure now. Raises DeviceFailed."""
        return self._take_light(self._light.check(self._at_s()))

    def check_roles(self) -> None:
        """Ask one person after the other to speak, to learn whether the microphones are on the right people.

        Asking again starts over. Raises NotReady while a session runs: it is for before.
        """
        with self._lock:
            if self._session is not None:
                raise NotReady(reason="busy")
            self._sound.ask_roles()

    def end_role_check(self) -> None:
        """Nobody is asked any more; what was found stays with the sound gate."""
        self._sound.end_asking()

    def log_in(self, username: str, password: str) -> None:
        """A technician of the core works here from now on. Raises NotLoggedIn, TooManyAttempts, Forbidden, CoreUnreachable."""
        self._login.log_in(username, password)
        self._uploader.renew()
        self.ask_for_today()

    def log_out(self) -> None:
        """Nobody does; what is recorded waits until somebody logs in."""
        self._login.log_out()
        self._uploader.renew()

    def acknowledge(self) -> None:
        """Somebody has read what went wrong."""
        with self._lock:
            self._problem = None

    # What a page shows.

    @property
    def cameras(self) -> tuple[Camera, ...]:
        return self._rig.camera

    @property
    def microphones(self) -> tuple[Microphone, ...]:
        return self._rig.microphone

    def levels(self) -> dict[str, Any]:
        """By microphone: ``level_dbfs`` and ``verdict``, for the meters; of those that are heard now."""
        states = self._inputs.states()
        told = self._sound.levels()
        return {name: each for name, each in told.items() if states[name].state in ("watching", "recording")}

    def doubts(self) -> list[Doubt]:
        """What speaks against recording now, though a person may decide otherwise."""
        light = self._light.newest
        found: dict[str, list[str]] = {}
        if self._rig.light is not None and (light is None or light["verdict"] != "pass"):
            found["light_unchecked" if light is None else f"light_{light['verdict']}"] = []
        for alarm in self._sound.alarms():
            found.setdefault(f"sound_{alarm.code}", []).append(alarm.name)
        for name, each in self._inputs.states().items():
            if each.state in AWAY:
                found.setdefault(f"input_{each.state}", []).append(name)
        return [Doubt(code, tuple(names)) for code, names in found.items()]

    @property
    def state(self) -> State:
        with self._lock:
            if self._session is not None:
                return "recording" if self._session.paused_since_s is None else "paused"
            if self._problem is not None:
                return "error"
        if any(each.state == "starting" for each in self._inputs.states().values()):
            return "checking"
        if self._uploader.is_sending:
            return "uploading"
        return "ready" if not self.doubts() else "checking"

    def snapshot(self) -> dict[str, Any]:
        """Everything a page or the core wants to know, as plain data; the words are the reader's matter."""
        upload, queue = self._uploader.status(), self._spool.queue()
        with self._lock:
            session, problem = self._session, self._problem
            shown: dict[str, Any] = {
                "state": self.state,
                "problem": problem.to_dict() if problem else None,
                "session": session.told() if session else None,
                "interrupted": [
                    asdict(each) for each in self._spool.interrupted() if not self._is_mine(each.local)
                ],
            }
        shown |= {
            "roles": {each.name: each.role for each in self._rig.inputs},
            "kinds": {each.name: each.kind for each in self._rig.inputs},
            "inputs": {name: asdict(each) for name, each in self._inputs.states().items()},
            "absent": list(self._presence.absent),
            "pictures": self.preview.numbers(),
            "measures_light": self._rig.light is not None,
            "light": self._light.newest,
            "light_trend": self._light.trend(),
            "space_left_s": self._space.left_s,
            "queue": {
                **asdict(queue),
                "online": upload.online,
                "sending": upload.sending,
                "rate_kbps": upload.rate_kbps,
                "problem": upload.problem["code"] if upload.problem else None,
            },
            "login": {
                "name": self._login.name,
                "needed": upload.problem is not None and upload.problem["code"] in NOBODY,
            },
            "today": self._told_visits(),
            "today_told_at": self.today.told_at.isoformat() if self.today.told_at else None,
        }
        shown |= self._sound.told()
        health = health_of(shown)
        return {**shown, "health": asdict(health), "room_problem": health.problem}

    def _told_visits(self) -> list[dict[str, Any]]:
        """Today's, with what this station knows better than a list that may be old."""
        recorded, told = self._spool.recorded(), []
        for visit in self.today.visits:
            plain: dict[str, Any] = visit.model_dump(mode="json") | {"recorded": visit.id in recorded}
            if self._spool.is_withdrawn(visit.id):
                plain |= {"may_record": False, "consent": "withdrawn"}
            told.append(plain)
        return told

    # What goes on by itself.

    def _run(self) -> None:
        while not self._ended.wait(TICK_S):
            try:
                self.tick()
            except YianError as error:
                _log.warning("tick_failed", code=error.code)
            except Exception:  # noqa: BLE001 - whatever else is wrong, the recording must go on
                _log.exception("tick_crashed")

    def tick(self) -> None:
        """Once through everything that is due."""
        if self._space.is_used_up():
            with self._lock:
                if self._session is not None:
                    self._close("disk_full", DiskFull(path=str(self._home), needed_mb=None, free_mb=0))
        if self._uploader.refused(self._session.visit.id if self._session else None):
            with self._lock:
                if self._session is not None:
                    self._close("refused", self._spool.refusal(self._session.local))
        for alarm in self._sound.new_alarms():
            self._note_if_running("sound", {"microphone": alarm.name, "alarm": alarm.code})
        problem = self._inputs.problem
        with self._lock:
            if problem is not None and self._session is not None:
                self._close(problem.code, problem)
        if self._light.is_due(self.state):
            self._take_light(self._light.check(self._at_s()))
        self._keep_timetable()

    def _keep_timetable(self) -> None:
        with self._lock:
            running = self._session
        if running is None and self._is_one_paused():
            return
        wish = self._timetable.wish(
            self.today.visits,
            datetime.now(UTC),
            running.visit.id if running else None,
            is_over=running is not None and running.at_s >= running.planned_s,
            begun=self._spool.begun(),
        )
        if wish is None:
            return
        if wish.action == "stop":
            self.stop()
        else:
            with contextlib.suppress(NotReady, ConsentRefused, NotFound, DiskFull):
                # Without asking the core, which may keep one waiting: this thread has other duties.
                self._start(wish.consultation, by_plan=True)

    def _take_light(self, check: dict[str, Any]) -> dict[str, Any]:
        self._note_if_running("light", check)
        return check

    def report(self) -> dict[str, Any]:
        """The heartbeat's words for the core."""
        return self._heartbeat.report(self.snapshot())

    # The session.

    def _begin(self, from_s: float) -> None:
        session = self._running()
        local, paused = session.local, session.paused_since_s is not None

        def keep(segment: Segment) -> None:
            try:
                self._spool.add(local, segment)
            except DiskFull as error:
                self._fail(error)
                raise
            self._uploader.wake()

        def gap(found: Gap) -> None:
            if found.reason == "station":
                # Noted by the spool, for every track alike, up to where the session goes on.
                if not paused:
                    return
                found = replace(found, from_s=from_s, reason="pause")
            self._spool.note(local, Note("gap", found.from_s, asdict(found)))

        self._cover(paused)
        with contextlib.suppress(OSError):  # then the wall clock has to do
            keep_zero(self._spool.folder(local), session.zero)
        try:
            self._inputs.record(
                self._spool.folder(local), keep, gap, from_s=from_s, zero=session.zero, paused=paused
            )
        except YianError:
            self._close("not_begun")
            raise

    def _fail(self, error: YianError) -> None:
        """From a thread of the inputs, which must not wait for itself: the station's own thread ends the session."""
        self._problem = self._problem or error
        self._space.hurry()

    def _close(self, why: str, problem: YianError | None = None) -> None:
        session = self._running()
        with contextlib.suppress(
            YianError
        ):  # a full disk takes no note; it may not keep the session from ending
            self._note("end", {"why": why})
        try:
            self._inputs.stop()
            self._spool.close(session.local)
        except YianError as error:
            # What is whole stays where it is, and the session is offered for closing once there is room.
            problem = problem or error
            self._spool.let_go(session.local)
        self._session = None
        self._problem = problem or self._problem
        if isinstance(problem, DiskFull):
            self._space.hurry()
        self._uploader.wake()
        if not self._ended.is_set():
            self._watch()

    def _running(self) -> Running:
        if self._session is None:
            raise NotReady(reason="not_recording")
        return self._session

    def _interrupted(self, local: str) -> Any:
        for each in self._spool.interrupted():
            if each.local == local and not self._is_mine(local):
                return each
        raise NotFound(what="session", id=local)

    def _is_mine(self, local: str) -> bool:
        return self._session is not None and self._session.local == local

    def _note(self, kind: str, data: dict[str, Any], at_s: float | None = None) -> None:
        session = self._running()
        self._spool.note(session.local, Note(kind, session.at_s if at_s is None else at_s, data))

    def _note_if_running(self, kind: str, data: dict[str, Any]) -> None:
        with self._lock:
            if self._session is not None:
                self._note(kind, data)

    def _at_s(self) -> float | None:
        with self._lock:
            return self._session.at_s if self._session else None
