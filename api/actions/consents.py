"""The patient's consent: signed on a page or handed in, shown again, taken back."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session

from api.actions.desk import CONSULTATION_PARTS, case_of, consultation_of, require_role
from api.core import Core
from archive import audit, consent, ledger
from archive.consent import SignedForm, signature_kind
from archive.consent_form import ConsentForm, consent_form
from archive.ink import require_ink
from archive.models import Case, Consent, Consultation, User, utc_now
from archive.terms import Purpose, Role, State
from config.errors import ConsentFormChanged, ConsentFormRejected, NotFound, YianError

log = structlog.get_logger()

WITNESSES = (Role.TECHNICIAN, Role.MANAGER)
WITHDRAWERS = (Role.TECHNICIAN, Role.EXPERT, Role.MANAGER)


@dataclass(frozen=True)
class Answers:
    """What a person answered on the consent page. ``version`` and ``language`` name the wording they had before them.

    ``drawn``: signed on the screen; otherwise the signature is a scanned form. ``after`` and ``submission``: as in
    :class:`archive.consent.SignedForm`.
    """

    purposes: tuple[str, ...]
    disguise_voice: bool
    version: str
    language: str
    submission: str
    after: str
    signature: bytes
    drawn: bool


def sign_consent(core: Core, actor: User, consultation_id: str, form: SignedForm) -> Consent:
    """Keep a form whose text comes from elsewhere. Raises what :func:`archive.consent.sign` raises."""
    require_role(actor, *WITNESSES)
    with core.catalog.write() as session:
        consultation = consultation_of(session, actor, consultation_id)
        return consent.sign(session, core.vault, consultation, form, actor.id, _valid_days(core))


def shown_form(core: Core, consultation: Consultation, language: str) -> ConsentForm:
    """The form that is put before somebody for this visit now."""
    return consent_form(
        consultation.kind,
        language,
        base=core.settings.base.name,
        expert=consultation.expert.name,
        visit=consultation.id,
        days=_valid_days(core),
    )


def sign_form(core: Core, actor: User, consultation_id: str, answers: Answers) -> Consent:
    """Keep what was signed on the consent page, at this moment, with the text that stood there; ``actor`` is the witness.

    Raises ConsentFormChanged when the wording is no longer the one that was shown, ConsentFormRejected for an empty
    signature, and what :func:`archive.consent.sign` raises.
    """
    require_role(actor, *WITNESSES)
    if answers.drawn and signature_kind(answers.signature) != "png":
        raise ConsentFormRejected(problem="what was drawn on the screen is not a PNG picture")
    if signature_kind(answers.signature) in ("png", "jpg"):
        require_ink(answers.signature, drawn=answers.drawn)
    with core.catalog.read() as session:
        form = shown_form(core, consultation_of(session, actor, consultation_id), answers.language)
    if form.version != answers.version:
        raise ConsentFormChanged(consultation=consultation_id, change="wording")
    signed = SignedForm(
        purposes=answers.purposes,
        text=form.whole(answers.purposes, answers.disguise_voice),
        signature=answers.signature,
        signed_at=utc_now(),
        disguise_voice=answers.disguise_voice,
        version=form.version,
        language=form.language,
        parts=form.parts(answers.purposes),
        submission=answers.submission,
        after=answers.after,
    )
    return sign_consent(core, actor, consultation_id, signed)


def show_forms(core: Core, actor: User, consultation_id: str) -> tuple[Consultation, dict[str, str]]:
    """The visit with its signed forms, and the names of their witnesses by id."""
    require_role(actor, *WITHDRAWERS)
    with core.catalog.read() as session:
        consultation = session.get(Consultation, consultation_id, options=CONSULTATION_PARTS)
        if consultation is None or consultation.base_code != actor.base_code:
            raise NotFound(what="consultation", id=consultation_id)
        return consultation, _names(session, {form.witness_id for form in consultation.consents})


def signature_of(core: Core, actor: User, consultation_id: str, form_id: str) -> tuple[bytes, str]:
    """A signature as it was given, and its kind (png, jpg, pdf). Every look is logged. Raises NotFound once it is erased."""
    require_role(actor, *WITNESSES)
    with core.catalog.write() as session:
        consultation_of(session, actor, consultation_id)
        form = session.get(Consent, form_id)
        if form is None or form.consultation_id != consultation_id:
            raise NotFound(what="form", id=form_id)
        audit.record(session, actor.id, "consent.view", consultation_id, form=form_id)
    signature = core.vault.open_bytes(consultation_id, form.signature_key)
    kind = signature_kind(signature)
    assert kind is not None, "nothing else is ever kept"
    return signature, kind


def withdraw_consent(
    core: Core,
    actor: User,
    consultation_id: str,
    *,
    purposes: Collection[Purpose] | None = None,
    reason: str = "",
) -> Case:
    """Take permission back, for some ``purposes`` or for all: what it covered stops now. Repeating it is safe.

    A case that is sealed by it leaves the count, and nothing of it can be opened by anybody any more.
    """
    require_role(actor, *WITHDRAWERS)
    with core.catalog.write() as session:
        case = case_of(session, actor, consultation_id)
        was = case.state
        if consent.withdraw(session, consultation_id, actor.id, purposes=purposes, reason=reason):
            ledger.uncount_case(session, case)
    if case.state is State.WITHDRAWN:
        _withhold(core, case)
        if was is State.PROCESSING:
            core.jobs.cancel(case.id, case.run)
    return case


def _withhold(core: Core, case: Case) -> None:
    try:
        core.vault.withhold(case.id)
    except YianError as error:
        # The catalogue refuses already; a store that is away for the moment must not keep a patient from withdrawing.
        log.warning("withhold_failed", case=case.id, code=error.code)


def _names(session: Session, ids: Collection[str]) -> dict[str, str]:
    found = [session.get(User, each) for each in ids]
    return {user.id: user.name for user in found if user is not None}


def _valid_days(core: Core) -> int:
    return core.settings.archive.consent_valid_days
