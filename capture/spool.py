"""The spool: what the station has recorded. It survives kill -9 and power loss, and a thief reads nothing of it.

``<home>/spool/journal.db`` is the journal; ``<home>/spool/<local id>/`` holds the files. A closed segment is sealed to
the base's key, then journalled, and only then its plain file goes; so after a crash at any point either the plain file
or the journalled, sealed one is there, and :meth:`Spool.recover` seals what was left plain. A sealed file goes only after
the core has confirmed every checksum of the *whole* session, and then not before some days have passed, unless
the disk runs low, the patient's consent is withdrawn, or a manager has the case erased.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import sqlite3
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from capture.claims import Claims
from capture.drift import EVERY_S, note_drift
from capture.entries import Interrupted, Kept, Note, Session
from capture.holes import untold_gaps
from capture.recorder import Segment, closed_segments
from capture.records import SEGMENT_COLUMNS, Records
from capture.seal import PART_SUFFIX, SEALED_SUFFIX, read_facts, seal_file
from config.errors import (
    AlreadyExists,
    ConsentWithdrawn,
    IllegalTransition,
    YianError,
)

__all__ = ["Note", "Spool"]

MEDIA_SUFFIXES = frozenset({".mkv", ".flac"})
# A session that is gone on with on another day is another session; a clock that jumped must not stretch it either.
LONGEST_BREAK_S = 24 * 3600.0


class Spool(Records):
    """The journal and files of one station. Safe to use from several threads; also while another process uses it.

    Every call may raise DatabaseUnavailable or DiskFull; those that name a session, NotFound.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        place = home / "spool"
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        super().__init__(place)
        self._lock = threading.RLock()
        self._claims = Claims(place)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.shut()

    def shut(self) -> None:
        """Let go of the journal and of every session; those still open are interrupted ones from now on."""
        with self._lock:
            self._claims.drop_all()
            self._journal.close()

    # Recording.

    def open(
        self,
        local: str,
        *,
        consultation: str,
        kind: str,
        started_at: datetime,
        tracks: dict[str, dict[str, str]],
        rig: dict[str, Any],
        light: dict[str, Any] | None = None,
    ) -> Session:
        """Begin a session; this process holds it until :meth:`close` or its own end.

        Raises NotReady (``sealing``) while the base's key is not known here, and AlreadyExists.
        """
        read_facts(self._home)
        with self._lock:
            try:
                self._journal.run(
                    "insert into station_session (local, consultation, kind, started_at, tracks, rig, light)"
                    " values (?, ?, ?, ?, ?, ?, ?)",
                    local,
                    consultation,
                    kind,
                    started_at.astimezone(UTC).isoformat(timespec="milliseconds"),
                    json.dumps(tracks),
                    json.dumps(rig),
                    json.dumps(light) if light is not None else None,
                )
            except sqlite3.IntegrityError as error:
                raise AlreadyExists(what=f"session {local}") from error
            self._claims.take(local)
        return self.session(local)

    def add(self, local: str, segment: Segment) -> None:
        """Seal a closed, synced segment, journal it, remove the plain file. Adding it again changes nothing.

        Raises AlreadyExists, with the file untouched, when other bytes are journalled in its place.
        """
        kept = self._journal.run(
            "select sha256 from station_segment where local = ? and track = ? and number = ?",
            local,
            segment.track,
            segment.index,
        )
        if kept and kept[0][0] != segment.sha256:
            raise AlreadyExists(what=f"{segment.track}/{segment.index}")
        if not kept:
            self._seal(local, segment)
            self._note_clock(local, segment.track, EVERY_S)
        segment.path.unlink(missing_ok=True)

    def _seal(self, local: str, segment: Segment) -> None:
        target = segment.path.with_name(segment.path.name + SEALED_SUFFIX)
        sealed = seal_file(segment.path, target, read_facts(self._home).recipient)
        self._journal.run(
            f"insert or ignore into station_segment (local, {SEGMENT_COLUMNS}, drift_ppm)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            local,
            segment.track,
            segment.index,
            str(target.relative_to(self.folder(local))),
            segment.sha256,
            segment.size,
            sealed.sha256,
            sealed.size,
            segment.start_s,
            segment.duration_s,
            segment.drift_ppm,
        )

    def _note_clock(self, local: str, track: str, every_s: float = 0.0) -> None:
        if (note := note_drift(self._journal, local, track, every_s)) is not None:
            self.note(local, note)

    def note(self, local: str, note: Note) -> None:
        """Journal something that happened. The same note again changes nothing."""
        self._journal.run(
            "insert or ignore into station_note (id, local, kind, at_s, data) values (?, ?, ?, ?, ?)",
            note.id,
            local,
            note.kind,
            max(0.0, note.at_s),
            json.dumps(note.data),
        )

    def close(self, local: str) -> None:
        """Nothing more will be recorded: what was left plain is sealed, and the session may be completed at the core.

        Raises NotReady (``busy``) while another process records it. When the disk is too full to seal the rest, the
        DiskFull leaves the session open and everything in its place.
        """
        with self._lock:
            if self.session(local).closed:
                return
            self._claims.take(local)
            try:
                self.recover(local)
                for track in self.session(local).tracks:
                    self._note_clock(local, track)
                self._journal.run("update station_session set closed = 1 where local = ?", local)
            finally:
                self._claims.drop(local)

    def let_go(self, local: str) -> None:
        """Hold the session no longer: it could not be closed, and is an interrupted one from now on."""
        with self._lock:
            if self._claims.holds(local):
                self._claims.drop(local)

    def withdraw(self, consultation: str, reason: str) -> None:
        """The patient took the consent back: from now on nothing more of the consultation leaves this station.

        What the core has in full already needs no copy here: those go. What it has not stays sealed.
        """
        problem = ConsentWithdrawn(consultation=consultation, purpose="record").to_dict()
        with self._journal.transaction():
            self._journal.run(
                "insert or ignore into station_withdrawal (consultation, reason, at) values (?, ?, ?)",
                consultation,
                reason,
                datetime.now(UTC).isoformat(timespec="seconds"),
            )
            self._journal.run(
                "update station_session set state = 'withdrawn', problem = ?"
                " where consultation = ? and state in ('waiting', 'refused')",
                json.dumps(problem),
                consultation,
            )
            self._journal.run(
                "update station_session set completed_at = 0 where consultation = ? and state = 'complete'",
                consultation,
            )
        self.expire(keep_s=LONGEST_BREAK_S * 365)

    # After a death.

    def interrupted(self) -> list[Interrupted]:
        """Sessions that were neither closed nor are being recorded by a living process, oldest first."""
        found = []
        with self._lock:
            for session in self._sessions("where closed = 0"):
                if self._claims.is_free(session.local):
                    kept = self.segments(session.local)
                    found.append(
                        Interrupted(
                            session.local,
                            session.consultation,
                            session.kind,
                            session.started_at,
                            _end_s(kept),
                            len(kept),
                            self._is_paused(session.local),
                        )
                    )
        return found

    def _is_paused(self, local: str) -> bool:
        pauses = [note.data["on"] for note in self.notes(local) if note.kind == "pause"]
        return bool(pauses) and pauses[-1]

    def tidy(self) -> None:
        """Seal what killed stations left plain, without deciding anything about their sessions.

        Raises DiskFull or NotReady (``sealing``) when it cannot; whatever lies there stays then.
        """
        with self._lock:
            for told in self.interrupted():
                self._claims.take(told.local)
                try:
                    self.recover(told.local)
                finally:
                    self._claims.drop(told.local)

    def continue_from(self, local: str, now_s: float | None = None) -> float:
        """Take over an interrupted session; the second, on its own clock, at which it goes on.

        ``now_s``: where that clock stands, if something still tells. Otherwise (another boot), and only here, the wall
        clock counts. What was missed is journalled as a gap of every track. Raises NotReady (``busy``),
        IllegalTransition for a closed session.
        """
        with self._lock:
            session = self.session(local)
            if session.closed:
                raise IllegalTransition(case=local, state="closed", wanted="recording")
            self._claims.take(local)
            try:
                self.recover(local)
                kept = self.segments(local)
                end_s = _end_s(kept)
                passed_s = now_s
                if passed_s is None:
                    passed_s = (
                        datetime.now(UTC) - datetime.fromisoformat(session.started_at)
                    ).total_seconds()
                from_s = round(min(max(passed_s, end_s), end_s + LONGEST_BREAK_S), 3)
                for track in session.tracks:
                    last_s = _end_s([each for each in kept if each.track == track])
                    gap = {"track": track, "from_s": last_s, "to_s": from_s, "reason": "station"}
                    self.note(local, Note("gap", last_s, gap))
            except YianError:
                self._claims.drop(local)
                raise
        return from_s

    def recover(self, local: str) -> int:
        """Seal and journal whatever a killed station left plain in a session that this process holds; how many
        closed segments that were. What was still being written is sealed too, as a fragment that stays here."""
        session, found = self.session(local), 0
        for track in session.tracks:
            for segment in closed_segments(session.folder, track):
                with contextlib.suppress(AlreadyExists):
                    self.add(local, segment)
                    found += 1
        for note in untold_gaps(self.segments(local), self.notes(local)):
            self.note(local, note)
        for path in session.folder.rglob(f"*{PART_SUFFIX}"):
            path.unlink(missing_ok=True)
        for path in session.folder.rglob("*"):
            if path.suffix in MEDIA_SUFFIXES and path.is_file():
                self._seal_fragment(path)
        return found

    def _seal_fragment(self, path: Path) -> None:
        if path.stat().st_size:
            target = path.with_name(f"{path.name}.{secrets.token_hex(4)}.fragment{SEALED_SUFFIX}")
            seal_file(path, target, read_facts(self._home).recipient)
        path.unlink()

    # Who works on it.

    def is_live(self, local: str) -> bool:
        """Whether this process records the session now."""
        return self._claims.holds(local)

    def is_recorded(self, local: str) -> bool:
        """Whether a living process, this one or another, records the session now."""
        with self._lock:
            return not self._claims.is_free(local)

    # What a manager decided about it.

    def erase(self, consultation: str) -> None:
        """Remove everything of a consultation that is refused, withdrawn, or a copy of what the core has, and journal that.

        Its files go first; a death in between leaves the session for the next call. What cannot be removed stays
        journalled as it is. Raises NotReady (``busy``) while another process works on it.
        """
        with self._lock:
            for session in self._sessions(
                "where consultation = ? and swept = 0 and state in ('refused', 'withdrawn', 'complete', 'empty')",
                consultation,
            ):
                if not self._claims.holds(session.local):
                    self._erase(session)

    def _erase(self, session: Session) -> None:
        self._claims.take(session.local)
        try:
            shutil.rmtree(session.folder, ignore_errors=True)
            if session.folder.exists():
                return
            with self._journal.transaction():
                for table in ("station_segment", "station_note"):
                    self._journal.run(f"delete from {table} where local = ?", session.local)
                self._journal.run(
                    "update station_session set state = 'erased', closed = 1, swept = 1, problem = null, light = null,"
                    " tracks = '{}', rig = '{}' where local = ?",
                    session.local,
                )
                self._journal.run(
                    "insert into station_erasure (consultation, sessions, at) values (?, 1, ?) on conflict (consultation)"
                    " do update set sessions = sessions + 1, at = excluded.at, sent = 0",
                    session.consultation,
                    datetime.now(UTC).isoformat(timespec="seconds"),
                )
                self._journal.run(
                    "update station_withdrawal set reason = '' where consultation = ? and sent = 1",
                    session.consultation,
                )
        finally:
            self._claims.drop(session.local)

    # Copies of what the core has.

    def expire(self, keep_s: float) -> None:
        """Remove copies of sessions that have been complete at the core for longer than ``keep_s``."""
        for local, _ in self._copies():
            (completed_at,) = self._journal.run(
                "select completed_at from station_session where local = ?", local
            )[0]
            # A clock that was set back must not keep them for ever; one set forward only loses a copy.
            if not 0 <= time.time() - completed_at <= keep_s:
                self._sweep(local)

    def make_room(self, free_bytes: int) -> None:
        """Remove copies of complete sessions, the oldest first, until so much is free or none is left."""
        for local, _ in self._copies():
            if shutil.disk_usage(self._place).free >= free_bytes:
                return
            self._sweep(local)

    def _copies(self) -> list[tuple[Any, ...]]:
        return self._journal.run(
            "select local, completed_at from station_session where state in ('complete', 'empty') and swept = 0"
            " order by completed_at, local"
        )

    def _sweep(self, local: str) -> None:
        shutil.rmtree(self.folder(local), ignore_errors=True)
        if not self.folder(local).exists():
            self._journal.run("update station_session set swept = 1 where local = ?", local)


def _end_s(kept: list[Kept]) -> float:
    return max((each.start_s + each.duration_s for each in kept), default=0.0)
