"""The consent page: the form to be signed on a tablet, the signed form to be read and printed, and taking it back."""

from __future__ import annotations

import secrets
from typing import Annotated

from fastapi import Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from api import actions
from api.deps import Actor, InCore, Words
from api.doors import Doors
from api.pages.render import page
from api.schemas.base import Id
from archive.models import Consent, Consultation
from archive.terms import Purpose, Role, State
from config.errors import NotFound

doors = Doors("pages", in_schema=False)

WITNESSES = (Role.TECHNICIAN, Role.MANAGER)


@doors.get("/consultations/{id}/consent", roles=WITNESSES, summary="The consent form of a visit")
def show(
    request: Request,
    id: Id,
    actor: Actor,
    core: InCore,
    words: Words,
    form: Annotated[str, Query(max_length=16)] = "",
    new: bool = False,
) -> Response:
    consultation, names = actions.show_forms(core, actor, id)
    signed = _chosen(consultation, form)
    may_sign = consultation.case.state is not State.WITHDRAWN and consultation.cancelled_at is None
    if may_sign and (signed is None or new):
        shown = actions.shown_form(core, consultation, words.language)
        return page(
            request,
            "consent_sign.html",
            visit=consultation,
            form=shown,
            after=consultation.consents[-1].id if consultation.consents else "",
            submission=secrets.token_urlsafe(24),
        )
    return page(
        request,
        "consent_signed.html",
        visit=consultation,
        signed=signed,
        newest=bool(consultation.consents) and signed is consultation.consents[-1],
        names=names,
        may_sign=may_sign,
        may_withdraw=_may_withdraw(consultation),
        left=[p for p in signed.purposes if p not in signed.withdrawn_purposes] if signed else [],
    )


@doors.post(
    "/consultations/{id}/consent/withdraw",
    roles=(Role.TECHNICIAN, Role.EXPERT, Role.MANAGER),
    summary="Withdraw from the consent page",
)
def withdraw(
    id: Id,
    actor: Actor,
    core: InCore,
    purposes: Annotated[list[Purpose] | None, Form(max_length=len(Purpose))] = None,
    reason: Annotated[str, Form(max_length=1000, pattern=r"^[^\x00]*$")] = "",
) -> Response:
    actions.withdraw_consent(core, actor, id, purposes=purposes or (), reason=reason)
    return RedirectResponse(f"/consultations/{id}/consent", status_code=303)


def _chosen(consultation: Consultation, form_id: str) -> Consent | None:
    """The form that was asked for, or the newest. Raises NotFound."""
    if not form_id:
        return consultation.consents[-1] if consultation.consents else None
    for form in consultation.consents:
        if form.id == form_id:
            return form
    raise NotFound(what="form", id=form_id)


def _may_withdraw(consultation: Consultation) -> bool:
    if not consultation.consents or consultation.case.state is State.WITHDRAWN:
        return False
    newest = consultation.consents[-1]
    return set(newest.purposes) > set(newest.withdrawn_purposes)
