"""What Yian keeps: the tables of the catalogue.

Times are UTC. Nothing here names a patient: the consultation carries a pseudonym, and whatever would identify
a person (signature images, recordings, face templates) lies encrypted in the object store under a key.
"""

from __future__ import annotations

import datetime as dt
import secrets
from enum import StrEnum
from typing import Any, ClassVar

from sqlalchemy import JSON, DateTime, Dialect, Enum, ForeignKey, Index, String, UniqueConstraint, false
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship
from sqlalchemy.types import TypeDecorator

from archive.terms import Decision, Finding, HoldVerdict, Kind, Level, Role, State

# Without 0/O, 1/I/L: an identifier is read aloud and typed by people.
ALPHABET = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"


def utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def new_id(length: int = 8) -> str:
    """A random identifier of ``length`` characters (about 4.95 bits each)."""
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


class UtcDateTime(TypeDecorator[dt.datetime]):
    """An aware UTC time, in databases with and without time zones alike."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be kept")
        return value.astimezone(dt.UTC).replace(tzinfo=None)

    def process_result_value(self, value: dt.datetime | None, dialect: Dialect) -> dt.datetime | None:
        return None if value is None else value.replace(tzinfo=dt.UTC)


def _named(kind: type[StrEnum]) -> Enum:
    """An enumeration kept as its plain words, so that the tables read well without this program."""
    return Enum(kind, native_enum=False, length=16, values_callable=lambda k: [str(m) for m in k])


class Table(DeclarativeBase):
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        **{kind: _named(kind) for kind in (Role, Kind, State, Level, Decision, Finding, HoldVerdict)},
        dt.datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[list[float]]: JSON,
        str: String(512),
    }


class Base(Table):
    """A teaching clinic and what it owes the programme."""

    __tablename__ = "bases"

    code: Mapped[str] = mapped_column(String(12), primary_key=True)
    name: Mapped[str]
    case_target: Mapped[int]
    session_target: Mapped[int]


class User(Table):
    __tablename__ = "users"

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=new_id)
    username: Mapped[str] = mapped_column(String(64), unique=True)
    name: Mapped[str]
    role: Mapped[Role]
    base_code: Mapped[str] = mapped_column(ForeignKey("bases.code"))
    password_hash: Mapped[str]
    active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[dt.datetime] = mapped_column(default=utc_now)


class Session(Table):
    """One login. Only the SHA-256 of the token is kept."""

    __tablename__ = "sessions"

    token_sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    expires_at: Mapped[dt.datetime]


class FailedLogin(Table):
    """Wrong passwords, so that guessing is slowed across processes and restarts."""

    __tablename__ = "failed_logins"

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(64), index=True)
    at: Mapped[dt.datetime] = mapped_column(default=utc_now)


class Consultation(Table):
    """One patient's visit. Its case shares its id."""

    __tablename__ = "consultations"
    __table_args__ = (Index("ix_consultations_base_time", "base_code", "scheduled_at"),)

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    base_code: Mapped[str] = mapped_column(ForeignKey("bases.code"))
    kind: Mapped[Kind]
    title: Mapped[str]
    expert_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    patient_pseudonym: Mapped[str] = mapped_column(String(32))
    scheduled_at: Mapped[dt.datetime]
    created_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    deputy_ids: Mapped[list[str]] = mapped_column(default=list)
    """Who may sign in the expert's place."""
    override_reason: Mapped[str | None] = mapped_column(String(1000))
    """Why it was planned into a half-day that was full, and the name of who allowed it."""
    override_by: Mapped[str | None] = mapped_column(String(64))
    cancelled_at: Mapped[dt.datetime | None]
    cancelled_by: Mapped[str | None] = mapped_column(String(64))

    expert: Mapped[User] = relationship(foreign_keys=[expert_id])
    case: Mapped[Case] = relationship(back_populates="consultation")
    consents: Mapped[list[Consent]] = relationship(back_populates="consultation", order_by="Consent.kept_at")


class Consent(Table):
    """One signed form: the exact text, its hash, who, when, and where the sealed signature lies."""

    __tablename__ = "consents"

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=new_id)
    consultation_id: Mapped[str] = mapped_column(ForeignKey("consultations.id"), index=True)
    purposes: Mapped[list[str]]
    text: Mapped[str] = mapped_column(String(20_000))
    text_sha256: Mapped[str] = mapped_column(String(64))
    signer_pseudonym: Mapped[str] = mapped_column(String(32))
    witness_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    signed_at: Mapped[dt.datetime]
    kept_at: Mapped[dt.datetime] = mapped_column(default=utc_now)
    expires_at: Mapped[dt.datetime]
    disguise_voice: Mapped[bool] = mapped_column(default=False, server_default=false())
    """The patient agreed on condition that nobody hears their own voice."""
    signature_key: Mapped[str]
    signature_sha256: Mapped[str] = mapped_column(String(64))
    signature_kind: Mapped[str] = mapped_column(String(8), default="", server_default="")
    """png, jpg or pdf; empty in rows of before this column."""
    form_version: Mapped[str] = mapped_column(String(32), default="", server_default="")
    """The version of the form in ``archive/consent_forms.toml``; empty for a text that came from elsewhere."""
    language: Mapped[str] = mapped_column(String(8), default="", server_default="")
    parts: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    """By purpose, what was shown for it: ``text``, its ``sha256``, and whether it was ``agreed`` to."""
    submission: Mapped[str | None] = mapped_column(String(64), unique=True, index=True)
    """Names one signing on one page, so that what is sent twice is kept once."""
    withdrawn_purposes: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    withdrawn_at: Mapped[dt.datetime | None]
    withdrawn_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))

    consultation: Mapped[Consultation] = relationship(back_populates="consents")


class Withdrawal(Table):
    """A permission that was taken back: which purposes, when, why, and who took it down. Append-only by trigger."""

    __tablename__ = "withdrawals"

    id: Mapped[int] = mapped_column(primary_key=True)
    consultation_id: Mapped[str] = mapped_column(ForeignKey("consultations.id"), index=True)
    purposes: Mapped[list[str]]
    reason: Mapped[str] = mapped_column(String(1000), default="")
    held: Mapped[bool]
    """Whether the case was sealed by it; otherwise the other purposes go on."""
    by: Mapped[str] = mapped_column(String(64))
    at: Mapped[dt.datetime] = mapped_column(default=utc_now)


class HoldDecision(Table):
    """What a manager decided about a withdrawn case; the newest counts. Append-only by trigger."""

    __tablename__ = "hold_decisions"

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    verdict: Mapped[HoldVerdict]
    reason: Mapped[str] = mapped_column(String(1000), default="")
    decide_again_on: Mapped[dt.date | None]
    by: Mapped[str] = mapped_column(String(64))
    at: Mapped[dt.datetime] = mapped_column(default=utc_now)


class Recording(Table):
    """What the rig captured of one consultation."""

    __tablename__ = "recordings"

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=new_id)
    consultation_id: Mapped[str] = mapped_column(ForeignKey("consultations.id"), index=True)
    idempotency_key: Mapped[str | None] = mapped_column(String(64), unique=True)
    rig: Mapped[dict[str, Any]]
    light: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    tracks: Mapped[dict[str, Any]] = mapped_column(default=dict)
    seconds: Mapped[float | None]
    recorded_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    started_at: Mapped[dt.datetime]
    completed_at: Mapped[dt.datetime | None]

    segments: Mapped[list[Segment]] = relationship(order_by="Segment.track, Segment.index")


class Segment(Table):
    """A few seconds of one input, sealed in the store under ``key``. ``sha256`` is of the plain bytes."""

    __tablename__ = "segments"
    __table_args__ = (UniqueConstraint("recording_id", "track", "index"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id"))
    track: Mapped[str] = mapped_column(String(32))
    index: Mapped[int]
    start_s: Mapped[float]
    duration_s: Mapped[float]
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    key: Mapped[str]


class RecordingNote(Table):
    """Something that happened while recording, as the station noted it: a gap, a chapter, a pause, the light, ...

    ``at_s`` counts from the start of the recording; ``id`` is the station's.
    """

    __tablename__ = "recording_notes"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id"), index=True)
    kind: Mapped[str] = mapped_column(String(32))
    at_s: Mapped[float]
    data: Mapped[dict[str, Any]] = mapped_column(default=dict)
    kept_at: Mapped[dt.datetime] = mapped_column(default=utc_now)


class Case(Table):
    """A digital medical case (数字医案) on its way, or published."""

    __tablename__ = "cases"

    id: Mapped[str] = mapped_column(ForeignKey("consultations.id"), primary_key=True)
    base_code: Mapped[str] = mapped_column(ForeignKey("bases.code"), index=True)
    state: Mapped[State] = mapped_column(index=True, default=State.SCHEDULED)
    edit: Mapped[int] = mapped_column(default=0)
    run: Mapped[int] = mapped_column(default=0)
    takeovers: Mapped[int] = mapped_column(default=0)
    edits: Mapped[dict[str, Any]] = mapped_column(default=dict)
    reason: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    summary: Mapped[dict[str, Any]] = mapped_column(default=dict)
    package_prefix: Mapped[str | None]
    package_seal: Mapped[str | None] = mapped_column(String(128))
    created_at: Mapped[dt.datetime] = mapped_column(default=utc_now)
    updated_at: Mapped[dt.datetime] = mapped_column(default=utc_now, onupdate=utc_now)
    published_at: Mapped[dt.datetime | None]

    consultation: Mapped[Consultation] = relationship(back_populates="case")
    history: Mapped[list[Transition]] = relationship(order_by="Transition.id")
    reviews: Mapped[list[Review]] = relationship(order_by="Review.id")
    steps: Mapped[list[StepRun]] = relationship(order_by="StepRun.id")


class Transition(Table):
    __tablename__ = "transitions"

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    old: Mapped[State | None]
    new: Mapped[State]
    actor: Mapped[str] = mapped_column(String(64))
    note: Mapped[str] = mapped_column(String(4000), default="")
    at: Mapped[dt.datetime] = mapped_column(default=utc_now)


class Review(Table):
    """A signature under (or against) exactly the bytes named by ``package_seal``."""

    __tablename__ = "reviews"
    __table_args__ = (UniqueConstraint("case_id", "edit", "level"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    edit: Mapped[int]
    level: Mapped[Level]
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    decision: Mapped[Decision]
    note: Mapped[str] = mapped_column(String(4000), default="")
    edits: Mapped[dict[str, Any]] = mapped_column(default=dict)
    package_seal: Mapped[str] = mapped_column(String(128))
    at: Mapped[dt.datetime] = mapped_column(default=utc_now)

    user: Mapped[User] = relationship()


class Resolution(Table):
    """A named person's answer to one alarm of the verification of one edit. Append-only by trigger."""

    __tablename__ = "resolutions"
    __table_args__ = (UniqueConstraint("case_id", "edit", "moment"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    edit: Mapped[int]
    moment: Mapped[str] = mapped_column(String(48))
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    finding: Mapped[Finding]
    reason: Mapped[str] = mapped_column(String(1000))
    at: Mapped[dt.datetime] = mapped_column(default=utc_now)

    user: Mapped[User] = relationship()


class StepRun(Table):
    """One run of one pipeline step. A step that was interrupted has a row without an end."""

    __tablename__ = "step_runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    scope: Mapped[str] = mapped_column(String(32))
    step: Mapped[str] = mapped_column(String(32))
    worker: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[dt.datetime] = mapped_column(default=utc_now)
    ended_at: Mapped[dt.datetime | None]
    progress: Mapped[float] = mapped_column(default=0.0)


class Grant(Table):
    """Who may use a published case, for what; every play is checked against it."""

    __tablename__ = "grants"
    __table_args__ = (UniqueConstraint("case_id", "base_code", "purpose"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), index=True)
    base_code: Mapped[str] = mapped_column(ForeignKey("bases.code"))
    purpose: Mapped[str] = mapped_column(String(16))
    granted_by: Mapped[str] = mapped_column(String(64))
    at: Mapped[dt.datetime] = mapped_column(default=utc_now)


class FaceTemplate(Table):
    """An expert's consented face template, sealed in the store; never a patient's."""

    __tablename__ = "face_templates"

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=new_id)
    expert_id: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    key: Mapped[str]
    consent_sha256: Mapped[str] = mapped_column(String(64))
    """Of the signed form, which stays sealed under ``templates/<expert>/<id>.form.age`` when the template goes."""
    enrolled_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    enrolled_at: Mapped[dt.datetime] = mapped_column(default=utc_now)


class Watch(Table):
    """Which seconds of a case one trainee has really seen."""

    __tablename__ = "watches"

    user_id: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    case_id: Mapped[str] = mapped_column(ForeignKey("cases.id"), primary_key=True)
    spans: Mapped[list[list[float]]] = mapped_column(default=list)
    watched_s: Mapped[float] = mapped_column(default=0.0)
    started_at: Mapped[dt.datetime] = mapped_column(default=utc_now)
    reported_at: Mapped[dt.datetime] = mapped_column(default=utc_now)


class LedgerEntry(Table):
    """One counted fact. Rows are only ever added; a correction is a row of the opposite sign."""

    __tablename__ = "ledger"
    __table_args__ = (UniqueConstraint("kind", "ref"), Index("ix_ledger_base_kind", "base_code", "kind"))

    id: Mapped[int] = mapped_column(primary_key=True)
    base_code: Mapped[str] = mapped_column(ForeignKey("bases.code"))
    kind: Mapped[str] = mapped_column(String(16))
    ref: Mapped[str] = mapped_column(String(128))
    delta: Mapped[int]
    at: Mapped[dt.datetime] = mapped_column(default=utc_now)


class AuditEvent(Table):
    """Who did what to what, when, with what outcome (Cybersecurity Law art. 21). Append-only by trigger."""

    __tablename__ = "audit_events"

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(default=utc_now, index=True)
    actor: Mapped[str] = mapped_column(String(64))
    action: Mapped[str] = mapped_column(String(64))
    object: Mapped[str] = mapped_column(String(128))
    outcome: Mapped[str] = mapped_column(String(64))
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Attachment(Table):
    """A picture or report that belongs to a consultation, cleaned of what named the patient and sealed to the case.

    ``sha256`` and ``size`` are those of the plain, cleaned bytes. A deleted one keeps its row, not its bytes.
    """

    __tablename__ = "attachments"

    id: Mapped[str] = mapped_column(String(16), primary_key=True, default=new_id)
    consultation_id: Mapped[str] = mapped_column(ForeignKey("consultations.id"), index=True)
    topic: Mapped[str] = mapped_column(String(16))
    form: Mapped[str] = mapped_column(String(8))
    taken_at: Mapped[dt.datetime]
    note: Mapped[str] = mapped_column(String(1000), default="")
    concerns: Mapped[list[str]] = mapped_column(default=list)
    """Why a reviewer has to look closely before anybody learns from it."""
    size: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    key: Mapped[str]
    added_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    added_at: Mapped[dt.datetime] = mapped_column(default=utc_now)
    released_at: Mapped[dt.datetime | None]
    released_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))
    deleted_at: Mapped[dt.datetime | None]
    deleted_by: Mapped[str | None] = mapped_column(ForeignKey("users.id"))


class Room(Table):
    """A consulting room and what its station last said of itself."""

    __tablename__ = "rooms"

    base_code: Mapped[str] = mapped_column(ForeignKey("bases.code"), primary_key=True)
    code: Mapped[str] = mapped_column(String(32), primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    since: Mapped[dt.datetime]
    heard_at: Mapped[dt.datetime]
    report: Mapped[dict[str, Any]] = mapped_column(default=dict)
    retired_at: Mapped[dt.datetime | None]


class RoomChange(Table):
    """A room went into another state; only the newest of a room are kept."""

    __tablename__ = "room_changes"
    __table_args__ = (Index("ix_room_changes_room", "base_code", "room"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    base_code: Mapped[str] = mapped_column(ForeignKey("bases.code"))
    room: Mapped[str] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16))
    problems: Mapped[list[str]] = mapped_column(default=list)
    at: Mapped[dt.datetime] = mapped_column(default=utc_now)


class RoomPlan(Table):
    """In which room a consultation is recorded, when, for how long, and whether by itself."""

    __tablename__ = "room_plans"
    __table_args__ = (Index("ix_room_plans_room", "base_code", "room", "starts_at"),)

    consultation_id: Mapped[str] = mapped_column(ForeignKey("consultations.id"), primary_key=True)
    base_code: Mapped[str] = mapped_column(ForeignKey("bases.code"))
    room: Mapped[str] = mapped_column(String(32))
    starts_at: Mapped[dt.datetime]
    length_s: Mapped[float]
    automatic: Mapped[bool] = mapped_column(default=False)
    planned_by: Mapped[str] = mapped_column(ForeignKey("users.id"))
    planned_at: Mapped[dt.datetime] = mapped_column(default=utc_now)
