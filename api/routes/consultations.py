"""Consultations and the patient's consent."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Literal

from fastapi import File, Form, Query, Response, UploadFile
from starlette.concurrency import run_in_threadpool

from api import actions
from api.deps import Actor, InCore
from api.doors import Doors
from api.messages import Language
from api.schemas.base import Created, Id
from api.schemas.cases import CaseState
from api.schemas.consultations import (
    ConsentAnswer,
    ConsultationAnswer,
    ConsultationRequest,
    NamesAnswer,
    NamesRequest,
    WithdrawRequest,
)
from archive.consent import MAX_SIGNATURE_BYTES, SignedForm
from archive.identity import PersonName
from archive.terms import Purpose, Role
from config.errors import ConsentFormRejected

doors = Doors("consultations")

STAFF = (Role.TECHNICIAN, Role.REVIEWER, Role.EXPERT, Role.MANAGER)
PLANNERS = (Role.TECHNICIAN, Role.MANAGER)
# The form's text and the multipart frame around the signature.
FORM_BYTES = MAX_SIGNATURE_BYTES + 256 * 1024
SIGNATURE_TYPES = {"png": "image/png", "jpg": "image/jpeg", "pdf": "application/pdf"}


@doors.post("/api/consultations", roles=PLANNERS, summary="Plan a consultation", status_code=201)
def schedule(asked: ConsultationRequest, actor: Actor, core: InCore) -> Created:
    planned = actions.schedule_consultation(
        core,
        actor,
        title=asked.title,
        kind=asked.kind,
        expert_id=asked.expert_id,
        scheduled_at=asked.scheduled_at,
        patient_pseudonym=asked.patient_pseudonym,
        override=_override(asked),
    )
    return Created(id=planned.id)


@doors.get("/api/consultations", roles=STAFF, summary="Consultations of one's base, newest first")
def list_all(
    actor: Actor,
    core: InCore,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> list[ConsultationAnswer]:
    found = actions.list_consultations(core, actor, limit=limit, offset=offset)
    return [ConsultationAnswer.of(consultation) for consultation in found]


@doors.get("/api/consultations/{id}", roles=STAFF, summary="One consultation with its consents")
def show(id: Id, actor: Actor, core: InCore) -> ConsultationAnswer:
    return ConsultationAnswer.of(actions.show_consultation(core, actor, id))


@doors.post(
    "/api/consultations/{id}/cancel",
    roles=PLANNERS,
    summary="Cancel a visit that has not been recorded; its place in the half-day is free again",
)
def cancel(id: Id, actor: Actor, core: InCore) -> Created:
    return Created(id=actions.cancel_consultation(core, actor, id).id)


@doors.put(
    "/api/consultations/{id}/names",
    roles=PLANNERS,
    summary="Register whose spoken names are to be taken out; they are kept sealed and told to nobody",
)
def register_names(id: Id, asked: NamesRequest, actor: Actor, core: InCore) -> NamesAnswer:
    names = [PersonName(name.text, name.relation) for name in asked.names]
    return NamesAnswer(registered=actions.register_names(core, actor, id, names))


@doors.post(
    "/api/consultations/{id}/consent",
    roles=PLANNERS,
    summary="Keep a signed consent form",
    status_code=201,
    body_bytes=FORM_BYTES,
)
async def sign(
    id: Id,
    actor: Actor,
    core: InCore,
    purposes: Annotated[list[str], Form(max_length=20)],
    text: Annotated[str, Form(max_length=20_000, pattern=r"^[^\x00]*$")],
    signed_at: Annotated[str, Form(max_length=40)],
    signature: Annotated[UploadFile, File()],
    disguise_voice: Annotated[bool, Form()] = False,
) -> ConsentAnswer:
    form = SignedForm(
        purposes=tuple(purposes),
        text=text,
        signature=await signature.read(MAX_SIGNATURE_BYTES + 1),
        signed_at=_time(signed_at),
        disguise_voice=disguise_voice,
    )
    return ConsentAnswer.of(await run_in_threadpool(actions.sign_consent, core, actor, id, form))


@doors.post(
    "/api/consultations/{id}/consent/withdraw",
    roles=(Role.TECHNICIAN, Role.EXPERT, Role.MANAGER),
    summary="Withdraw the patient's consent, for some purposes or all: what it covered stops at once",
)
def withdraw(id: Id, actor: Actor, core: InCore, asked: WithdrawRequest | None = None) -> CaseState:
    told = asked or WithdrawRequest()
    return CaseState.of(actions.withdraw_consent(core, actor, id, purposes=told.purposes, reason=told.reason))


@doors.post(
    "/api/consultations/{id}/consent/form",
    roles=PLANNERS,
    summary="Keep what was signed on the consent page; sending it again is safe",
    status_code=201,
    body_bytes=FORM_BYTES,
)
async def sign_form(
    id: Id,
    actor: Actor,
    core: InCore,
    version: Annotated[str, Form(max_length=32)],
    language: Annotated[Language, Form()],
    submission: Annotated[str, Form(min_length=16, max_length=64, pattern=r"^[A-Za-z0-9_-]*$")],
    way: Annotated[Literal["drawn", "scanned"], Form()],
    signature: Annotated[UploadFile, File()],
    after: Annotated[str, Form(max_length=16)] = "",
    purposes: Annotated[list[Purpose] | None, Form(max_length=len(Purpose))] = None,
    disguise_voice: Annotated[bool, Form()] = False,
) -> ConsentAnswer:
    answers = actions.Answers(
        purposes=tuple(str(purpose) for purpose in purposes or ()),
        disguise_voice=disguise_voice,
        version=version,
        language=language,
        submission=submission,
        after=after,
        signature=await signature.read(MAX_SIGNATURE_BYTES + 1),
        drawn=way == "drawn",
    )
    return ConsentAnswer.of(await run_in_threadpool(actions.sign_form, core, actor, id, answers))


@doors.get(
    "/api/consultations/{id}/consent/{form}/signature",
    roles=PLANNERS,
    summary="The signature or scanned form as it was given; every look is logged",
)
def signature(id: Id, form: Id, actor: Actor, core: InCore) -> Response:
    content, kind = actions.signature_of(core, actor, id, form)
    headers = {"Content-Disposition": f'inline; filename="consent-{form}.{kind}"'}
    return Response(content, media_type=SIGNATURE_TYPES[kind], headers=headers)


def _override(asked: ConsultationRequest) -> actions.Override | None:
    if asked.override_reason is None and asked.override_by is None:
        return None
    return actions.Override(asked.override_reason or "", asked.override_by or "")


def _time(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ConsentFormRejected(problem="the time of signing is not an ISO 8601 time") from error
