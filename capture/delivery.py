"""One session on its way to the core: opened there, segment by segment, with its notes, and closed when all is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from capture.core import Core
from capture.entries import Kept, Session
from capture.spool import Spool
from config.errors import AlreadyExists, ChecksumMismatch, Conflict, NotFound, YianError

CONFIRM_ROUNDS = 3
Step = Literal["sent", "idle", "done"]


class Delivery:
    """Every step is idempotent at the core and journalled here, so it may be cut off and repeated at any point."""

    def __init__(
        self, core: Core, spool: Spool, local: str, pace: Callable[[int], None] = lambda _: None
    ) -> None:
        self._core, self._spool, self._local, self._pace = core, spool, local, pace
        self._rounds = 0
        self._spoilt: dict[tuple[str, int], YianError] = {}

    def step(self) -> Step:
        """The next piece of work: ``sent`` when there was one, ``idle`` when it waits for the recording to go on or for
        another session of the visit, ``done`` when the core has everything. Raises what the core says."""
        session = self._spool.session(self._local)
        if session.recording is None:
            if session.closed and not self._spool.segments(self._local):
                self._spool.complete(self._local, None)
                return "done"
            self._spool.know(self._local, self._open(session))
            return "sent"
        try:
            return self._step_of(session, session.recording)
        except NotFound as error:
            if error.data.get("what") == "recording":
                # A bad line may have changed the id in the core's answer: the core will tell it again.
                self._spool.know(self._local, None)
            raise

    def _step_of(self, session: Session, recording: str) -> Step:
        for kept in self._spool.pending(self._local):
            if (kept.track, kept.index) not in self._spoilt:
                self._put(recording, kept)
                return "sent"
        for note in self._spool.notes(self._local, unsent=True)[:1]:
            self._core.note(recording, note)
            self._spool.mark_sent(note.id)
            return "sent"
        for error in self._spoilt.values():
            raise error
        if not session.closed or self._others_come_first(session):
            return "idle"
        return self._complete(session, recording)

    def _put(self, recording: str, kept: Kept) -> None:
        try:
            self._core.put(recording, kept, self._pace)
        except (ChecksumMismatch, AlreadyExists, NotFound) as error:
            if isinstance(error, NotFound) and error.data.get("what") != "segment":
                raise
            # This one is not what was recorded: the others come home first, then somebody has to know.
            self._spoilt[kept.track, kept.index] = error
        else:
            self._spool.mark_uploaded(self._local, kept.track, kept.index)

    def reconcile(self) -> bool:
        """Make the spool agree with what the core lists, checksum by checksum; whether the core has everything.

        Raises Conflict when the core loses again and again what it had confirmed.
        """
        session = self._spool.session(self._local)
        if session.recording is None:
            return False
        held = self._core.segments(session.recording)
        lost = 0
        for each in self._spool.segments(self._local):
            confirmed = held.get((each.track, each.index)) == each.sha256
            self._spool.mark_uploaded(self._local, each.track, each.index, confirmed=confirmed)
            lost += not confirmed
        self._rounds += 1
        if lost and self._rounds > CONFIRM_ROUNDS:
            raise Conflict(detail=f"the core lost {lost} segments again and again")
        return not lost

    def ask_again(self) -> None:
        """Ask a core that refused the session whether it wants it now; nothing of it is sent. Raises what it says."""
        session = self._spool.session(self._local)
        self._spool.know(self._local, self._open(session))
        self._spool.admit(self._local)

    def _others_come_first(self, session: Session) -> bool:
        """Whether the core knows nothing yet of another session of the same visit: it would begin to process without it.

        Once it has the first segment of the other, it waits for the rest by itself.
        """
        for other in self._spool.unfinished():
            same_visit = other.consultation == session.consultation and other.local != session.local
            if same_visit and other.state == "waiting" and other.problem is None:
                kept = len(self._spool.segments(other.local))
                if kept and kept == len(self._spool.pending(other.local)):
                    return True
        return False

    def _open(self, session: Session) -> str:
        body = {"rig": session.rig, "light": session.light, "started_at": session.started_at}
        return self._core.open(session.consultation, body, session.local)

    def _complete(self, session: Session, recording: str) -> Step:
        kept = self._spool.segments(self._local)
        if not kept:
            self._spool.complete(self._local, None)
        elif self.reconcile():
            seconds, extents = extent_of(kept)
            tracks = {name: session.tracks[name] | extent for name, extent in extents.items()}
            notes = len(self._spool.notes(self._local))
            self._spool.complete(self._local, self._core.complete(recording, tracks, seconds, notes))
        else:
            return "sent"
        return "done"


def extent_of(kept: list[Kept]) -> tuple[float, dict[str, dict[str, Any]]]:
    """Seconds in all, and by track how many segments there were and which numbers were lost for good."""
    seconds = max((each.start_s + each.duration_s for each in kept), default=0.0)
    extents: dict[str, dict[str, Any]] = {}
    for name in sorted({each.track for each in kept}):
        numbers = {each.index for each in kept if each.track == name}
        count = max(numbers) + 1
        extents[name] = {"segments": count, "lost": sorted(set(range(count)) - numbers)}
    return round(seconds, 6), extents
