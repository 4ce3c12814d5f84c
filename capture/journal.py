"""The journal of a station: a SQLite file whose every statement is on the disk before it returns."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config.errors import DatabaseUnavailable, DiskFull

_SCHEMA = """
create table if not exists station_session (
    local text primary key, consultation text not null, kind text not null, started_at text not null,
    tracks text not null, rig text not null, light text, recording text, case_id text,
    state text not null default 'waiting', problem text,
    closed integer not null default 0, completed_at real, swept integer not null default 0
);
create table if not exists station_segment (
    local text not null references station_session, track text not null, number integer not null, file text not null,
    sha256 text not null, size integer not null, sealed_sha256 text not null, sealed_size integer not null,
    start_s real not null, duration_s real not null, uploaded integer not null default 0, drift_ppm real,
    primary key (local, track, number)
);
create table if not exists station_note (
    number integer primary key, id text not null unique, local text not null references station_session,
    kind text not null, at_s real not null, data text not null, sent integer not null default 0
);
create table if not exists station_withdrawal (
    consultation text primary key, reason text not null, at text not null, sent integer not null default 0
);
create table if not exists station_erasure (
    consultation text primary key, sessions integer not null, at text not null, sent integer not null default 0
);
"""
# What stations kept before segments were sealed: plain files, which recovery seals and uploads again (to no effect
# where the core has them).
_FROM_PLAIN = """
insert or ignore into station_session
    (local, consultation, kind, started_at, tracks, rig, recording, state, closed, completed_at)
    select recording, consultation, 'consultation', started_at, tracks, '{}', recording,
        case complete when 1 then 'complete' else 'waiting' end, complete, case complete when 1 then 0 end from session;
drop table segment;
drop table session;
"""


class Journal:
    """Statements that are durable when they return (``synchronous=full``). Safe to use from several threads, and
    while another process uses the same file. Every call may raise DatabaseUnavailable or DiskFull."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._closed = False
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=30.0)
        self.run("pragma journal_mode = wal")
        self.run("pragma synchronous = full")
        self._db.executescript(_SCHEMA)
        with self.transaction():
            if not self.run("select 1 from pragma_table_info('station_segment') where name = 'drift_ppm'"):
                self.run("alter table station_segment add column drift_ppm real")
            if self.run("select 1 from sqlite_master where name = 'session'"):
                for statement in _FROM_PLAIN.split(";"):
                    self.run(statement)

    def run(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        with self._lock:
            if self._closed:
                raise DatabaseUnavailable(detail="the journal is closed")
            try:
                return self._db.execute(statement, values).fetchall()
            except sqlite3.OperationalError as error:
                if error.sqlite_errorname == "SQLITE_FULL":
                    raise DiskFull(path=str(self._path.parent), needed_mb=1, free_mb=0) from error
                raise DatabaseUnavailable(detail=str(error)) from error

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Several statements that become true together; another process' come before or after."""
        with self._lock:
            self.run("begin immediate")
            try:
                yield
            except BaseException:
                self.run("rollback")
                raise
            self.run("commit")

    def close(self) -> None:
        """Whoever still asks is told that it is not available: at the end a thread may be late."""
        with self._lock:
            self._closed = True
            self._db.close()
