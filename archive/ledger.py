"""What each base has achieved: published cases and remote sessions, counted exactly once each.

A fact is counted by inserting its reference under a unique key, so any number of writers, retries and
repeated reports leave one row. Corrections are rows of the opposite sign: nothing is ever edited.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from archive.catalog import insert_once
from archive.models import Base, Case, LedgerEntry, User, Watch, utc_now
from archive.terms import State

CASE = "case"
SESSION = "session"
# A player may run at double speed; the slack covers the delay of its first report.
MAX_PLAYBACK_RATE = 2.0
REPORT_SLACK_S = 15.0


@dataclass(frozen=True)
class Counters:
    """One base against its targets. ``sessions_by_year`` is keyed by calendar year in the base's zone."""

    base_code: str
    base_name: str
    cases: int
    case_target: int
    sessions: int
    session_target: int
    sessions_by_year: dict[int, int]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def count_case(session: Session, case: Case) -> bool:
    """Count a published case; False when it was counted before."""
    entry = LedgerEntry(base_code=case.base_code, kind=CASE, ref=case.id, delta=1)
    return insert_once(session, entry, "kind", "ref")


def uncount_case(session: Session, case: Case) -> bool:
    """Take a withdrawn case out of the count, if it was in it; False when nothing changed."""
    counted = session.scalar(select(LedgerEntry).where(LedgerEntry.kind == CASE, LedgerEntry.ref == case.id))
    if counted is None:
        return False
    entry = LedgerEntry(base_code=case.base_code, kind=CASE, ref=f"{case.id}/withdrawn", delta=-1)
    return insert_once(session, entry, "kind", "ref")


def merge_spans(spans: list[list[float]]) -> list[list[float]]:
    """The union of ``[start_s, end_s]`` spans, sorted and disjoint; empty and reversed spans are dropped."""
    merged: list[list[float]] = []
    for start, end in sorted(span for span in spans if span[1] > span[0]):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return merged


def _length_s(spans: list[list[float]]) -> float:
    return sum(end - start for start, end in spans)


def believed(known: list[list[float]], claimed: list[list[float]], possible_s: float) -> list[list[float]]:
    """``known`` with as much of ``claimed`` as is new, but at most ``possible_s`` seconds, earliest first.

    Both are disjoint and sorted, as :func:`merge_spans` makes them, and so is the result.
    """
    taken = [list(span) for span in known]
    for start, end in _new_parts(known, claimed):
        length_s = min(end - start, possible_s)
        if length_s <= 0:
            break
        taken.append([start, start + length_s])
        possible_s -= length_s
    return merge_spans(taken)


def _new_parts(known: list[list[float]], claimed: list[list[float]]) -> Iterator[tuple[float, float]]:
    for start, end in claimed:
        for known_start, known_end in known:
            if known_end <= start or known_start >= end:
                continue
            if known_start > start:
                yield start, known_start
            start = known_end
        if start < end:
            yield start, end


def report_watch(
    session: Session,
    user: User,
    case: Case,
    spans: list[list[float]],
    *,
    duration_s: float,
    threshold_s: float,
    now: dt.datetime | None = None,
) -> tuple[float, bool]:
    """Add what a trainee's player says it has shown; returns (seconds seen in all, whether it now counts).

    Seconds are those of the case, each counted once however often it is repeated, and never more than a
    player could have shown since its last report. Past ``threshold_s`` the session is counted, once.
    """
    now = now or utc_now()
    insert_once(
        session,
        Watch(user_id=user.id, case_id=case.id, spans=[], watched_s=0.0, started_at=now, reported_at=now),
        "user_id",
        "case_id",
    )
    watch = session.execute(
        select(Watch).where(Watch.user_id == user.id, Watch.case_id == case.id).with_for_update()
    ).scalar_one()
    inside = merge_spans([[max(0.0, start), min(duration_s, end)] for start, end in spans])
    # However much is claimed, no more is believed than could have played since the last report. What is not
    # believed is not kept either, so that it still counts when it is really watched.
    elapsed_s = max(0.0, (now - watch.reported_at).total_seconds())
    possible_s = elapsed_s * MAX_PLAYBACK_RATE + (0.0 if watch.spans else REPORT_SLACK_S)
    watch.spans = believed(watch.spans, inside, possible_s)
    watch.watched_s = _length_s(watch.spans)
    watch.reported_at = now
    if watch.watched_s < threshold_s or case.state is not State.PUBLISHED:
        return watch.watched_s, False
    entry = LedgerEntry(base_code=case.base_code, kind=SESSION, ref=f"{user.id}:{case.id}", delta=1, at=now)
    insert_once(session, entry, "kind", "ref")
    return watch.watched_s, True


def counters(session: Session, zone: ZoneInfo, base_code: str | None = None) -> list[Counters]:
    """Every base (or one) against its targets."""
    query = select(Base).order_by(Base.code)
    if base_code is not None:
        query = query.where(Base.code == base_code)
    return [_count_base(session, base, zone) for base in session.scalars(query)]


def _count_base(session: Session, base: Base, zone: ZoneInfo) -> Counters:
    cases = session.scalar(
        select(func.coalesce(func.sum(LedgerEntry.delta), 0)).where(
            LedgerEntry.base_code == base.code, LedgerEntry.kind == CASE
        )
    )
    by_year: dict[int, int] = {}
    for at, delta in session.execute(
        select(LedgerEntry.at, LedgerEntry.delta).where(
            LedgerEntry.base_code == base.code, LedgerEntry.kind == SESSION
        )
    ):
        year = at.astimezone(zone).year
        by_year[year] = by_year.get(year, 0) + delta
    return Counters(
        base.code,
        base.name,
        int(cases or 0),
        base.case_target,
        sum(by_year.values()),
        base.session_target,
        dict(sorted(by_year.items())),
    )
