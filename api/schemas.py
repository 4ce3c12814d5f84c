"""What goes over the wire: requests as they are accepted, answers as they are given. Storage never leaks."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from archive.edits import MAX_DECISIONS, MAX_REGIONS, SPEECH
from archive.holding import HeldCase
from archive.identity import MAX_CHARACTERS, MAX_NAMES
from archive.models import Case, Consent, Consultation, Resolution, Segment, User
from archive.terms import Decision, Finding, HoldVerdict, Kind, Purpose, Role, State
from processing.overrides import Overrides, RegionId, TrackNumbers
from processing.redaction_edits import Addition, RedactionEdits, SpanId

if TYPE_CHECKING:
    from api.actions import Moment, Visit
    from api.messages import Messages

# PostgreSQL refuses NUL in a text; other control characters have no place in a name either.
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, pattern=r"^[^\x00-\x1f\x7f]*$")]
Note = Annotated[str, Field(max_length=4000, pattern=r"^[^\x00]*$")]
Seconds = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
# Identifiers of cases, consultations and recordings.
Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,32}$")]
# A moment of a privacy verification: its camera's name and a number.
MomentId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}-[0-9]{1,9}$")]
Reason = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000, pattern=r"^[^\x00]*$")
]
TrackName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
MAX_SPANS = 500


class Request(BaseModel):
    model_config = ConfigDict(extra="forbid")


class LoginRequest(Request):
    username: Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
    password: Annotated[str, Field(min_length=1, max_length=256)]


class LoginAnswer(BaseModel):
    token: str


class UserRequest(Request):
    username: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{1,63}$")]
    name: Annotated[Name, Field(max_length=64)]
    role: Role
    password: Annotated[str, Field(min_length=1, max_length=256)]


class UserAnswer(BaseModel):
    id: str
    username: str
    name: str
    role: Role
    base: str

    @classmethod
    def of(cls, user: User) -> UserAnswer:
        return cls(id=user.id, username=user.username, name=user.name, role=user.role, base=user.base_code)


class ConsultationRequest(Request):
    title: Annotated[Name, Field(max_length=200)]
    kind: Kind
    expert_id: Annotated[Name, Field(max_length=16)]
    scheduled_at: AwareDatetime
    patient_pseudonym: Annotated[Name, Field(max_length=32)] | None = None
    override_reason: Reason | None = None
    """Only for a half-day that is full: why one more, and below the name of who allows it."""
    override_by: Annotated[Name, Field(max_length=64)] | None = None


class ConsentAnswer(BaseModel):
    id: str
    purposes: list[str]
    text_sha256: str
    signature_sha256: str
    signed_at: dt.datetime
    expires_at: dt.datetime
    disguise_voice: bool
    withdrawn_at: dt.datetime | None
    withdrawn_purposes: list[str]

    @classmethod
    def of(cls, consent: Consent) -> ConsentAnswer:
        return cls(**{name: getattr(consent, name) for name in cls.model_fields})


class ConsultationAnswer(BaseModel):
    id: str
    kind: Kind
    title: str
    expert: str
    patient_pseudonym: str
    scheduled_at: dt.datetime
    cancelled_at: dt.datetime | None
    state: State
    consents: list[ConsentAnswer]

    @classmethod
    def of(cls, consultation: Consultation) -> ConsultationAnswer:
        return cls(
            id=consultation.id,
            kind=consultation.kind,
            title=consultation.title,
            expert=consultation.expert.name,
            patient_pseudonym=consultation.patient_pseudonym,
            scheduled_at=consultation.scheduled_at,
            cancelled_at=consultation.cancelled_at,
            state=consultation.case.state,
            consents=[ConsentAnswer.of(consent) for consent in consultation.consents],
        )


class TodayRow(BaseModel):
    """One visit of today, as a station needs it. Only with ``may_record`` may it be recorded.

    ``consent``: signed, missing, withdrawn, expired or not_granted, for recording; ``consent_text`` says it in words.
    ``purposes`` are those that hold now. ``override_reason``: why it was planned into a full half-day.
    """

    id: str
    scheduled_at: dt.datetime
    half_day: Literal["am", "pm"]
    kind: Kind
    title: str
    expert: str
    patient: str
    state: State
    may_record: bool
    consent: str
    consent_text: str
    purposes: list[str]
    since: dt.datetime | None
    until: dt.datetime | None
    withdrawn_at: dt.datetime | None
    disguise_voice: bool
    override_reason: str | None
    override_by: str | None

    @classmethod
    def of(cls, visit: Visit, words: Messages, zone: ZoneInfo) -> TodayRow:
        told, stands = visit.consultation, visit.standing
        until = words.time(stands.until, zone) if stands.until else ""
        return cls(
            id=told.id,
            scheduled_at=told.scheduled_at,
            half_day=visit.half_day.part,
            kind=told.kind,
            title=told.title,
            expert=told.expert.name,
            patient=told.patient_pseudonym,
            state=told.case.state,
            may_record=stands.may_record,
            consent=stands.code,
            consent_text=words.text(f"standing.{stands.code}", until=until),
            purposes=list(stands.purposes),
            since=stands.since,
            until=stands.until,
            withdrawn_at=stands.withdrawn_at,
            disguise_voice=stands.disguise_voice,
            override_reason=told.override_reason,
            override_by=told.override_by,
        )


class TodayAnswer(BaseModel):
    visits: list[TodayRow]


class WithdrawRequest(Request):
    """Without ``purposes`` everything is taken back. Nobody has to give a reason."""

    purposes: Annotated[list[Purpose], Field(min_length=1, max_length=len(Purpose))] | None = None
    reason: Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")] = ""


class KeepRequest(Request):
    """A law obliges to keep a withdrawn case: which, and the day on which a manager decides again."""

    reason: Reason
    until: dt.date


class HeldAnswer(BaseModel):
    """A withdrawn case. ``waits``: a manager has to decide now. ``withdrawn_by`` and ``decided_by`` are ids of people."""

    case: str
    title: str
    footage: bool
    waits: bool
    purposes: list[str]
    reason: str
    withdrawn_at: dt.datetime | None
    withdrawn_by: str | None
    verdict: HoldVerdict | None
    decided_reason: str
    decide_again_on: dt.date | None
    decided_by: str | None
    decided_at: dt.datetime | None

    @classmethod
    def of(cls, held: HeldCase, today: dt.date) -> HeldAnswer:
        taken, decided = held.withdrawal, held.decision
        return cls(
            case=held.case.id,
            title=held.case.consultation.title,
            footage=held.footage,
            waits=held.waits(today),
            purposes=taken.purposes if taken else [],
            reason=taken.reason if taken else "",
            withdrawn_at=taken.at if taken else None,
            withdrawn_by=taken.by if taken else None,
            verdict=decided.verdict if decided else None,
            decided_reason=decided.reason if decided else "",
            decide_again_on=decided.decide_again_on if decided else None,
            decided_by=decided.by if decided else None,
            decided_at=decided.at if decided else None,
        )


class Created(BaseModel):
    id: str


class RecordingRequest(Request):
    rig: dict[str, Any]
    light: dict[str, Any] | None = None
    started_at: AwareDatetime


class RecordingAnswer(BaseModel):
    recording: str


class SegmentAnswer(BaseModel):
    track: str
    index: int
    sha256: str
    size: int

    @classmethod
    def of(cls, segment: Segment) -> SegmentAnswer:
        return cls(track=segment.track, index=segment.index, sha256=segment.sha256, size=segment.size)


class SegmentsAnswer(BaseModel):
    segments: list[SegmentAnswer]


class TrackRequest(Request):
    kind: Literal["video", "audio"]
    role: Annotated[Name, Field(max_length=32)]
    segments: Annotated[int, Field(ge=0, le=100_000)]
    lost: Annotated[list[int], Field(max_length=100_000)] = []
    """Numbers of segments that were recorded but are gone for good, after a power cut for instance."""
    whole: bool = False


class CompleteRequest(Request):
    tracks: Annotated[dict[TrackName, TrackRequest], Field(max_length=32)]
    seconds: Seconds


class CaseState(BaseModel):
    case: str
    state: State

    @classmethod
    def of(cls, case: Case) -> CaseState:
        return cls(case=case.id, state=case.state)


class CaseRow(BaseModel):
    id: str
    title: str
    kind: Kind
    expert: str
    state: State
    scheduled_at: dt.datetime
    published_at: dt.datetime | None
    duration_s: float | None

    @classmethod
    def row(cls, case: Case) -> dict[str, Any]:
        told = case.consultation
        return {
            "id": case.id,
            "title": told.title,
            "kind": told.kind,
            "expert": told.expert.name,
            "state": case.state,
            "scheduled_at": told.scheduled_at,
            "published_at": case.published_at,
            "duration_s": case.summary.get("duration_s"),
        }

    @classmethod
    def of(cls, case: Case) -> CaseRow:
        return cls(**cls.row(case))


class CasesAnswer(BaseModel):
    cases: list[CaseRow]


class MoveAnswer(BaseModel):
    old: State | None
    new: State
    actor: str
    note: str
    at: dt.datetime


class ReviewAnswer(BaseModel):
    level: str
    decision: Decision
    user: str
    note: str
    edits: dict[str, Any]
    at: dt.datetime


class CaseAnswer(CaseRow):
    """A case whole. A trainee gets the published facts only: reviews and history are the staff's."""

    reason: dict[str, Any] | None = None
    summary: dict[str, Any] = {}
    history: list[MoveAnswer] = []
    reviews: list[ReviewAnswer] = []

    @classmethod
    def seen_by(cls, user: User, case: Case) -> CaseAnswer:
        if user.role is Role.TRAINEE:
            return cls(**cls.row(case))
        return cls(
            **cls.row(case),
            reason=case.reason,
            summary=case.summary,
            history=[
                MoveAnswer(old=m.old, new=m.new, actor=m.actor, note=m.note, at=m.at) for m in case.history
            ],
            reviews=[
                ReviewAnswer(
                    level=str(r.level),
                    decision=r.decision,
                    user=r.user_id,
                    note=r.note,
                    edits=r.edits,
                    at=r.at,
                )
                for r in case.reviews
            ],
        )


class NameRequest(Request):
    text: Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS, pattern=r"^[^\x00]*\S[^\x00]*$")]
    relation: Literal["patient", "relative"] = "patient"


class NamesRequest(Request):
    """Everybody whose name may be spoken; they replace those registered before."""

    names: Annotated[list[NameRequest], Field(max_length=MAX_NAMES)]


class NamesAnswer(BaseModel):
    """How many are registered. The names themselves are told to nobody."""

    registered: int


class RedactionAnswer(BaseModel):
    """Something that was said and identifies the patient. ``hidden``: whether a tone and a placeholder stand for it."""

    id: str
    kind: str
    role: str
    start_s: float
    end_s: float
    confidence: float
    why: str
    text: str
    hidden: bool


class RedactionsAnswer(BaseModel):
    edit: int
    redactions: list[RedactionAnswer]


class EditsRequest(Overrides):
    """What a reviewer wants changed in one camera's picture; what earlier edits say beside it stays.

    ``reset_tracks`` are decided as if no edit had named them; ``remove_regions`` are regions of earlier edits.
    """

    reset_tracks: TrackNumbers = ()
    remove_regions: Annotated[tuple[RegionId, ...], Field(max_length=MAX_REGIONS)] = ()


class SpeechEditsRequest(RedactionEdits):
    """What a reviewer wants heard (``keep``) or hidden (``add``) in text and sound; earlier edits beside it stay.

    ``reset``: spans that were to be heard and are hidden again; ``remove_add``: additions that are taken back.
    """

    reset: Annotated[tuple[SpanId, ...], Field(max_length=MAX_DECISIONS)] = ()
    remove_add: Annotated[tuple[Addition, ...], Field(max_length=MAX_DECISIONS)] = ()


class RetryRequest(Request):
    edits: Annotated[dict[TrackName, EditsRequest], Field(max_length=32)] | None = None
    """By camera."""
    speech: SpeechEditsRequest | None = None

    def edits_to_keep(self) -> dict[str, Any] | None:
        """The edits as they are kept with the case; None: the reviewer changed nothing."""
        if self.edits is None and self.speech is None:
            return None
        edits = {
            camera: edits.model_dump(mode="json", exclude_unset=True)
            for camera, edits in (self.edits or {}).items()
        }
        if self.speech is not None:
            edits[SPEECH] = self.speech.model_dump(mode="json", exclude_unset=True)
        return edits


class ReviewRequest(RetryRequest):
    decision: Decision
    note: Note = ""
    package_seal: Annotated[str, Field(max_length=128)] | None = None
    """The seal of the package that was looked at; when it is no longer the case's, nothing is signed."""


class WatchRequest(Request):
    """Spans of the case, in seconds, that have really been played since the last report."""

    spans: Annotated[list[tuple[Seconds, Seconds]], Field(max_length=MAX_SPANS)]


class WatchAnswer(BaseModel):
    watched_s: float
    counted: bool


class StepAnswer(BaseModel):
    step: str
    progress: float
    done: bool


class ProgressAnswer(BaseModel):
    state: State
    share: float | None
    steps: list[StepAnswer]


class ResolveRequest(Request):
    finding: Finding
    reason: Reason
    """In words, why; it is published with the case."""
    edit: Annotated[int, Field(ge=0)] | None = None
    """The edit whose moment was looked at; when it is no longer the case's, nothing is kept."""


class ResolutionAnswer(BaseModel):
    by: str
    name: str
    finding: Finding
    reason: str
    at: dt.datetime

    @classmethod
    def of(cls, answer: Resolution) -> ResolutionAnswer:
        return cls(
            by=answer.user_id,
            name=answer.user.name,
            finding=answer.finding,
            reason=answer.reason,
            at=answer.at,
        )


class MomentAnswer(BaseModel):
    """Something the verification saw in one place: ``count`` times, worst with ``score``.

    ``thumbnail``: the address of its picture; None when too much was found for a picture of each.
    """

    id: str
    camera: str
    kinds: list[str]
    first_s: float
    last_s: float
    count: int
    score: float
    thumbnail: str | None
    resolution: ResolutionAnswer | None

    @classmethod
    def of(cls, case_id: str, moment: Moment) -> MomentAnswer:
        told = {name: moment.alarm[name] for name in cls.model_fields if name in moment.alarm}
        picture = f"/api/cases/{case_id}/moments/{told['id']}/thumbnail"
        return cls(
            **told,
            thumbnail=picture if moment.pictured else None,
            resolution=ResolutionAnswer.of(moment.resolution) if moment.resolution else None,
        )


class MomentsAnswer(BaseModel):
    edit: int
    left: int
    moments: list[MomentAnswer]


class CountersAnswer(BaseModel):
    bases: list[dict[str, Any]]


class AuditRow(BaseModel):
    id: int
    at: dt.datetime
    actor: str
    action: str
    object: str
    outcome: str
    detail: dict[str, Any]


class AuditAnswer(BaseModel):
    """Newest first. ``next_before`` asks for the page that follows; None: that was all."""

    events: list[AuditRow]
    next_before: int | None


class HealthAnswer(BaseModel):
    ok: bool
