"""Visits, their consents, and the names that may be spoken in them."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, Field

from api.schemas.base import Name, Reason, Request
from archive.identity import MAX_CHARACTERS, MAX_NAMES
from archive.models import Consent, Consultation
from archive.terms import Kind, Purpose, State


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


class WithdrawRequest(Request):
    """Without ``purposes`` everything is taken back. Nobody has to give a reason."""

    purposes: Annotated[list[Purpose], Field(min_length=1, max_length=len(Purpose))] | None = None
    reason: Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")] = ""


class NameRequest(Request):
    text: Annotated[str, Field(min_length=1, max_length=MAX_CHARACTERS, pattern=r"^[^\x00]*\S[^\x00]*$")]
    relation: Literal["patient", "relative"] = "patient"


class NamesRequest(Request):
    """Everybody whose name may be spoken; they replace those registered before."""

    names: Annotated[list[NameRequest], Field(max_length=MAX_NAMES)]


class NamesAnswer(BaseModel):
    """How many are registered. The names themselves are told to nobody."""

    registered: int
