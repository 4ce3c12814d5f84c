"""Playing published cases, and what it counts."""

from __future__ import annotations

from collections.abc import Iterator

from api.actions.desk import REVIEWED_STATES, VIEWERS, require_role
from api.core import Core
from archive import audit, consent, ledger, release
from archive.models import (
    Case,
    User,
)
from archive.store import ObjectInfo
from archive.terms import Purpose, Role
from config.errors import (
    NotFound,
)

# Every play begins with one of these, and is logged then: segments would drown the log.
PLAY_BEGINS = frozenset({"media/master.m3u8", "media/video.mp4"})


def media_stream(
    core: Core, actor: User, case_id: str, path: str, start: int = 0, length: int | None = None
) -> tuple[ObjectInfo, Iterator[bytes]]:
    """One file of a case's package, authorised anew at every call. ``path`` is relative to the payload."""
    with core.catalog.read() as session:
        case = session.get(Case, case_id)
        if case is None:
            raise NotFound(what="case", id=case_id)
        if actor.role is Role.TRAINEE:
            release.require_grant(session, case, actor)
        elif (
            actor.role not in VIEWERS
            or case.base_code != actor.base_code
            or case.state not in REVIEWED_STATES
        ):
            raise NotFound(what="case", id=case_id)
        else:
            consent.require(session, case.id, Purpose.THIRD_PARTY_PRODUCTION)
    key = f"{case.package_prefix}/data/{path}"
    info = core.store.stat(key) if case.package_prefix else None
    if info is None:
        raise NotFound(what="file", id=path)
    if path in PLAY_BEGINS and start == 0:
        with core.catalog.write() as session:
            audit.record(session, actor.id, "case.play", case.id, "ok", file=path)
    return info, core.store.stream(key, start, length)


def report_watch(core: Core, actor: User, case_id: str, spans: list[list[float]]) -> tuple[float, bool]:
    """Take a trainee's report of what was really played; (seconds seen, whether it counts as a session)."""
    require_role(actor, Role.TRAINEE)
    with core.catalog.write() as session:
        case = session.get(Case, case_id)
        if case is None:
            raise NotFound(what="case", id=case_id)
        release.require_grant(session, case, actor)
        duration_s = float(case.summary.get("duration_s", 0.0))
        archive = core.settings.archive
        threshold_s = archive.watch_threshold_s
        if duration_s > 0:
            threshold_s = min(threshold_s, duration_s * archive.watch_threshold_share)
        seen_s, counted = ledger.report_watch(
            session, actor, case, spans, duration_s=duration_s, threshold_s=threshold_s
        )
        audit.record(session, actor.id, "case.watch", case.id, "ok", seen_s=round(seen_s, 1), counted=counted)
        return seen_s, counted


def counters(core: Core, actor: User) -> list[ledger.Counters]:
    """A manager compares every base of this installation; everybody else sees their own."""
    with core.catalog.read() as session:
        scope = None if actor.role is Role.MANAGER else actor.base_code
        return ledger.counters(session, core.settings.zone, scope)
