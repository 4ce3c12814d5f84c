"""The spool: what the station has recorded and the core has not yet confirmed. It survives kill -9 and power loss.

``<home>/spool/journal.db`` (SQLite, synchronous=FULL) is the journal; ``<home>/spool/<recording>/`` holds the files. A
file goes only after the core has confirmed its checksum *and* the whole recording is complete there.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from capture.recorder import Segment, closed_segments
from config.errors import AlreadyExists, DatabaseUnavailable, IllegalTransition, NotFound

_SCHEMA = """
create table if not exists session (
    recording text primary key, consultation text not null, started_at text not null,
    tracks text not null, recorded integer not null default 0, complete integer not null default 0
);
create table if not exists segment (
    recording text not null references session, track text not null, number integer not null,
    file text not null, sha256 text not null, size integer not null,
    start_s real not null, duration_s real not null, uploaded integer not null default 0,
    primary key (recording, track, number)
);
"""


@dataclass(frozen=True)
class Session:
    """One recording. ``tracks``: name -> {"kind", "role"}. ``recorded`` says that it was ended in order."""

    recording: str
    consultation: str
    started_at: str
    tracks: dict[str, dict[str, str]]
    recorded: bool
    folder: Path


class Spool:
    """The journal of one station. Safe to use from several threads; also while another process uses it."""

    def __init__(self, home: Path) -> None:
        self._place = home / "spool"
        self._place.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = threading.RLock()
        self._db = sqlite3.connect(
            self._place / "journal.db", check_same_thread=False, isolation_level=None, timeout=30.0
        )
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        self._db.executescript(_SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        with self._lock:
            self._db.close()

    def open(
        self, recording: str, consultation: str, started_at: str, tracks: dict[str, dict[str, str]]
    ) -> Session:
        """Begin a recording that the core has allowed. Raises AlreadyExists."""
        try:
            self._run(
                "insert into session (recording, consultation, started_at, tracks) values (?, ?, ?, ?)",
                recording,
                consultation,
                started_at,
                json.dumps(tracks),
            )
        except sqlite3.IntegrityError as error:
            raise AlreadyExists(what=f"recording {recording}") from error
        self._folder(recording).mkdir(parents=True, exist_ok=True)
        return self.session(recording)

    def add(self, recording: str, segment: Segment) -> None:
        """Journal a closed, synced segment. Adding it again changes nothing."""
        self._run(
            "insert or ignore into segment (recording, track, number, file, sha256, size, start_s, duration_s)"
            " values (?, ?, ?, ?, ?, ?, ?, ?)",
            recording,
            segment.track,
            segment.index,
            segment.path.name,
            segment.sha256,
            segment.size,
            segment.start_s,
            segment.duration_s,
        )

    def recover(self, recording: str) -> int:
        """Journal the closed segments that a killed station left unjournalled; how many there were."""
        session = self.session(recording)
        known = self.segments(recording)
        found = 0
        for track in session.tracks:
            start = max((each.index + 1 for each in known if each.track == track), default=0)
            for segment in closed_segments(session.folder, track, start):
                self.add(recording, segment)
                found += 1
        return found

    def segments(self, recording: str) -> list[Segment]:
        """Everything journalled of a recording, in order of time."""
        return self._select(recording, "")

    def pending(self, recording: str) -> list[Segment]:
        """What the core has not confirmed yet, in order of time."""
        return self._select(recording, "and uploaded = 0")

    def mark_uploaded(self, recording: str, track: str, index: int, *, confirmed: bool = True) -> None:
        """Note that the core has confirmed the segment's checksum (or, that it has lost it again)."""
        self._run(
            "update segment set uploaded = ? where recording = ? and track = ? and number = ?",
            int(confirmed),
            recording,
            track,
            index,
        )

    def mark_recorded(self, recording: str) -> None:
        """Note that nothing more will be recorded."""
        self._run("update session set recorded = 1 where recording = ?", recording)

    def complete(self, recording: str) -> None:
        """The core has the whole recording: the local files go. Raises IllegalTransition while one is pending."""
        with self._lock:
            if self.pending(recording):
                raise IllegalTransition(case=recording, state="uploading", wanted="complete")
            self._run("update session set recorded = 1, complete = 1 where recording = ?", recording)
        shutil.rmtree(self._folder(recording), ignore_errors=True)

    def session(self, recording: str) -> Session:
        """Raises NotFound."""
        for row in self._run("select * from session where recording = ?", recording):
            return self._session(row)
        raise NotFound(what="recording", id=recording)

    def unfinished(self) -> list[Session]:
        """Recordings the core does not have in full, oldest first. Sweeps files that outlived their completion."""
        for (recording,) in self._run("select recording from session where complete = 1"):
            shutil.rmtree(self._folder(recording), ignore_errors=True)
        rows = self._run("select * from session where complete = 0 order by started_at, recording")
        return [self._session(row) for row in rows]

    @contextmanager
    def claim(self, recording: str) -> Iterator[bool]:
        """Whether this process may work on the recording; the lock ends with the process, however it ends."""
        folder = self._folder(recording)
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(handle)

    def _run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            try:
                return self._db.execute(statement, values).fetchall()
            except sqlite3.OperationalError as error:
                raise DatabaseUnavailable(detail=str(error)) from error

    def _folder(self, recording: str) -> Path:
        return self._place / recording

    def _session(self, row: tuple[Any, ...]) -> Session:
        recording, consultation, started_at, tracks, recorded, _ = row
        folder = self._folder(recording)
        return Session(recording, consultation, started_at, json.loads(tracks), bool(recorded), folder)

    def _select(self, recording: str, also: str) -> list[Segment]:
        folder = self._folder(recording)
        rows = self._run(
            "select track, number, file, sha256, size, start_s, duration_s from segment"
            f" where recording = ? {also} order by start_s, track, number",
            recording,
        )
        return [Segment(row[0], row[1], folder / row[0] / row[2], *row[3:]) for row in rows]
