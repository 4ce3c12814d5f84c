"""The records of a station: what its journal says of every session, and what is marked there as the core hears of it.

Nothing here touches a file that was recorded; see :mod:`capture.spool` for those.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from capture.entries import Erasure, Held, Kept, Note, Queue, Session, State, Withdrawal
from capture.journal import Journal
from config.errors import IllegalTransition, NotFound, YianError, error_from_dict

SEGMENT_COLUMNS = "track, number, file, sha256, size, sealed_sha256, sealed_size, start_s, duration_s"
_SESSION_COLUMNS = (
    "local, consultation, kind, started_at, tracks, rig, light, recording, case_id, state, problem, closed"
)


class Records:
    """The journal in ``place``, which also has a folder for each session. Safe to use from several threads, and while
    another process uses the same journal. Every call may raise DatabaseUnavailable or DiskFull; those that name a
    session, NotFound.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._journal = Journal(place / "journal.db")

    # What is there.

    def folder(self, local: str) -> Path:
        """Where the inputs of a session write; a folder by track."""
        return self._place / local

    def session(self, local: str) -> Session:
        for session in self._sessions("where local = ?", local):
            return session
        raise NotFound(what="session", id=local)

    def segments(self, local: str) -> list[Kept]:
        """Everything journalled of a session, in order of time."""
        return self._select(local, "")

    def pending(self, local: str) -> list[Kept]:
        """What the core has not confirmed yet, in order of time."""
        return self._select(local, "and uploaded = 0")

    def notes(self, local: str, *, unsent: bool = False) -> list[Note]:
        """In the order in which they were made."""
        rows = self._journal.run(
            f"select kind, at_s, data, id from station_note where local = ? {'and sent = 0' if unsent else ''}"
            " order by number",
            local,
        )
        return [Note(kind, at_s, json.loads(data), name) for kind, at_s, data, name in rows]

    def unfinished(self) -> list[Session]:
        """What the core does not have in full and may have, oldest first; also what it refused so far."""
        return self._sessions("where state in ('waiting', 'refused')")

    def queue(self) -> Queue:
        waiting, refused = [], 0
        held: list[Held] = []
        for session in self._sessions("where state in ('waiting', 'refused', 'withdrawn')"):
            if session.state == "waiting":
                waiting.append(session)
            if session.state != "waiting" or session.problem is not None:
                refused += session.state == "refused"
                held.append(Held(session.local, session.consultation, session.state, session.problem))
        rows = self._journal.run(
            "select count(*), coalesce(sum(sealed_size), 0) from station_segment join station_session using (local)"
            " where uploaded = 0 and state = 'waiting'"
        )
        oldest = min((datetime.fromisoformat(each.started_at) for each in waiting), default=None)
        oldest_s = max(0.0, (datetime.now(UTC) - oldest).total_seconds()) if oldest else 0.0
        return Queue(rows[0][0], rows[0][1], oldest_s, refused, tuple(held))

    def recorded(self) -> set[str]:
        """The consultations of which this station has ended a session with something in it."""
        rows = self._journal.run(
            "select distinct consultation from station_session where closed = 1 and state in ('waiting', 'complete')"
        )
        return {consultation for (consultation,) in rows}

    def begun(self) -> set[str]:
        """The consultations of which this station has ever begun a session, whatever became of it."""
        rows = self._journal.run("select distinct consultation from station_session")
        return {consultation for (consultation,) in rows}

    def refusal(self, local: str) -> YianError | None:
        """Why the core does not want the session, where it does not."""
        (problem,) = self._journal.run("select problem from station_session where local = ?", local)[0]
        return None if problem is None else error_from_dict(json.loads(problem))

    # What became of it at the core.

    def know(self, local: str, recording: str | None) -> None:
        """The core has opened the session under its own id; None: it does not know that id, and has to be asked again."""
        self._journal.run("update station_session set recording = ? where local = ?", recording, local)

    def mark_uploaded(self, local: str, track: str, index: int, *, confirmed: bool = True) -> None:
        """Note that the core has confirmed the segment's checksum (or, that it has lost it again)."""
        self._journal.run(
            "update station_segment set uploaded = ? where local = ? and track = ? and number = ?",
            int(confirmed),
            local,
            track,
            index,
        )

    def mark_sent(self, note: str) -> None:
        self._journal.run("update station_note set sent = 1 where id = ?", note)

    def refuse(self, local: str, error: YianError) -> None:
        """The core does not want the session: kept as it is, and shown."""
        self._judge(local, "refused", error)

    def admit(self, local: str) -> None:
        """The core wants a session that it refused before."""
        self._judge(local, "waiting", None)

    def blame(self, local: str, error: YianError) -> None:
        """The session cannot go to the core for a reason of its own; it is tried again all the same."""
        self._judge(local, "waiting", error)

    def _judge(self, local: str, state: State, problem: YianError | None) -> None:
        self._journal.run(
            "update station_session set state = ?, problem = ? where local = ? and state in ('waiting', 'refused')",
            state,
            json.dumps(problem.to_dict()) if problem else None,
            local,
        )

    def complete(self, local: str, case: str | None) -> None:
        """The core has the whole session (``case``), or there was nothing in it (None). Local copies stay for a while.

        Raises IllegalTransition while something is pending or the session is open.
        """
        with self._journal.transaction():
            session = self.session(local)
            if self.pending(local) or not session.closed or (case is None and self.segments(local)):
                raise IllegalTransition(case=local, state=session.state, wanted="complete")
            self._journal.run(
                "update station_session set state = ?, case_id = ?, completed_at = ?, problem = null where local = ?",
                "empty" if case is None else "complete",
                case,
                time.time(),
                local,
            )

    def is_withdrawn(self, consultation: str) -> bool:
        """Whether the consent was taken back at this station, whatever the core has heard of it so far."""
        told = self._journal.run(
            "select 1 from station_withdrawal where consultation = ? limit 1", consultation
        )
        return bool(told)

    def withdrawals(self) -> list[Withdrawal]:
        """Those the core has not heard of."""
        rows = self._journal.run("select consultation, reason, at from station_withdrawal where sent = 0")
        return [Withdrawal(*row) for row in rows]

    def mark_withdrawn(self, consultation: str) -> None:
        """The core knows of the withdrawal."""
        self._journal.run("update station_withdrawal set sent = 1 where consultation = ?", consultation)

    # What a manager decided about it.

    def held_consultations(self) -> list[str]:
        """Those of which anything lies here, sorted."""
        rows = self._journal.run(
            "select distinct consultation from station_session where swept = 0 order by consultation"
        )
        return [row[0] for row in rows]

    def erasures(self) -> list[Erasure]:
        """Those the core has not heard of."""
        rows = self._journal.run("select consultation, sessions, at from station_erasure where sent = 0")
        return [Erasure(*row) for row in rows]

    def mark_erased_told(self, consultation: str) -> None:
        """The core knows that nothing of it is left here."""
        self._journal.run("update station_erasure set sent = 1 where consultation = ?", consultation)

    # Rows.

    def _sessions(self, which: str, *values: object) -> list[Session]:
        rows = self._journal.run(
            f"select {_SESSION_COLUMNS} from station_session {which} order by started_at, local", *values
        )
        return [self._session(row) for row in rows]

    def _session(self, row: tuple[Any, ...]) -> Session:
        local, consultation, kind, started_at, tracks, rig, light, recording, case, state, problem, closed = (
            row
        )
        return Session(
            local=local,
            consultation=consultation,
            kind=kind,
            started_at=started_at,
            tracks=json.loads(tracks),
            rig=json.loads(rig),
            light=json.loads(light) if light else None,
            recording=recording,
            case=case,
            state=state,
            problem=json.loads(problem) if problem else None,
            closed=bool(closed),
            folder=self.folder(local),
        )

    def _select(self, local: str, also: str) -> list[Kept]:
        folder = self.folder(local)
        rows = self._journal.run(
            f"select {SEGMENT_COLUMNS} from station_segment where local = ? {also} order by start_s, track, number",
            local,
        )
        return [Kept(row[0], row[1], folder / row[2], *row[3:]) for row in rows]
