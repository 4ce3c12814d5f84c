"""Consent: signed per purpose, kept with the exact text, withdrawn as easily as given."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from archive import audit
from archive.models import Case, Consent, Consultation, Withdrawal, new_id, utc_now
from archive.states import lock_case, move
from archive.terms import Purpose, State
from archive.vault import Vault
from config.errors import (
    ConsentExpired,
    ConsentFormChanged,
    ConsentFormRejected,
    ConsentMissing,
    ConsentWithdrawn,
    NotFound,
    PurposeNotGranted,
    RequestRejected,
    VisitCancelled,
)

MAX_SIGNATURE_BYTES = 10 * 1024 * 1024
# What a scanned form or a signature drawn on a tablet arrives as, by its first bytes.
SIGNATURE_KINDS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg", b"%PDF-": "pdf"}
# Without these nobody may make or see a case: once there is footage, taking one back seals all of it.
NEEDED = frozenset({Purpose.THIRD_PARTY_PRODUCTION, Purpose.ARCHIVE})
BEFORE_FOOTAGE = frozenset({State.SCHEDULED, State.CONSENTED, State.RECORDING})


@dataclass(frozen=True)
class SignedForm:
    """A form as it was signed. ``text`` is what the patient was shown, to the letter.

    ``disguise_voice``: the patient agrees on condition that their voice is made another one. ``version``,
    ``language`` and ``parts`` tell of a form of ours (``archive.consent_form``). ``submission`` names one signing on
    one page: what is sent twice is kept once. ``after``: the id of the form that was the newest when the page was
    opened, empty when there was none; None: whatever came first.
    """

    purposes: tuple[str, ...]
    text: str
    signature: bytes
    signed_at: dt.datetime
    disguise_voice: bool = False
    version: str = ""
    language: str = ""
    parts: dict[str, Any] = field(default_factory=dict)
    submission: str | None = None
    after: str | None = None

    def __post_init__(self) -> None:
        """Raises ConsentFormRejected with the first problem found."""
        problem = self._problem()
        if problem:
            raise ConsentFormRejected(problem=problem)

    def _problem(self) -> str | None:
        known = {str(purpose) for purpose in Purpose}
        if not self.purposes:
            return "no purpose is ticked"
        unknown = sorted(set(self.purposes) - known)
        if unknown:
            return f"unknown purpose {unknown[0][:40]!r}"
        if len(set(self.purposes)) != len(self.purposes):
            return "a purpose is ticked twice"
        if len(self.text.strip()) < 20:
            return "the text that was shown is missing"
        if len(self.text) > 20_000:
            return "the text is longer than 20 000 characters"
        if len(self.signature) > MAX_SIGNATURE_BYTES:
            return "the signature file is larger than 10 MB"
        if signature_kind(self.signature) is None:
            return "the signature is not a PNG, JPEG or PDF file"
        if self.signed_at.tzinfo is None:
            return "the time of signing has no time zone"
        if self.signed_at > utc_now() + dt.timedelta(minutes=5):
            return "the time of signing lies in the future"
        return None


def signature_kind(signature: bytes) -> str | None:
    """``png``, ``jpg`` or ``pdf``, by the first bytes; None for anything else."""
    return next((kind for magic, kind in SIGNATURE_KINDS.items() if signature.startswith(magic)), None)


def sign(
    session: Session,
    vault: Vault,
    consultation: Consultation,
    form: SignedForm,
    witness_id: str,
    valid_days: int,
) -> Consent:
    """Keep a signed form; the signature itself is sealed. A scheduled case becomes consented.

    The same submission again gives the form that was kept. Raises ConsentFormChanged when another form came first
    or the submission has other content now, ConsentWithdrawn, VisitCancelled.
    """
    case = lock_case(session, consultation.id)
    session.expire(consultation, ["consents", "cancelled_at"])
    known = _kept_before(session, consultation, form)
    if known is not None:
        return known
    if case.state is State.WITHDRAWN:
        raise ConsentWithdrawn(consultation=consultation.id, purpose=str(Purpose.RECORD))
    if consultation.cancelled_at is not None:
        raise VisitCancelled(consultation=consultation.id, purpose=str(Purpose.RECORD))
    newest = consultation.consents[-1].id if consultation.consents else ""
    if form.after is not None and form.after != newest:
        raise ConsentFormChanged(consultation=consultation.id, change="signed")
    consent = _keep(vault, consultation, form, witness_id, valid_days)
    session.add(consent)
    audit.record(session, witness_id, "consent.sign", consultation.id, purposes=",".join(form.purposes))
    if case.state is State.SCHEDULED and Purpose.RECORD in form.purposes:
        move(session, case, State.CONSENTED, witness_id)
    return consent


def _kept_before(session: Session, consultation: Consultation, form: SignedForm) -> Consent | None:
    if form.submission is None:
        return None
    known = session.scalar(select(Consent).where(Consent.submission == form.submission))
    if known is None:
        return None
    kept = (known.consultation_id, known.text_sha256, known.signature_sha256)
    sent = (consultation.id, _sha256(form.text.encode()), _sha256(form.signature))
    if kept != sent:
        raise ConsentFormChanged(consultation=consultation.id, change="sent")
    return known


def _keep(
    vault: Vault, consultation: Consultation, form: SignedForm, witness_id: str, valid_days: int
) -> Consent:
    consent_id = new_id()
    key = f"consents/{consultation.id}/{consent_id}.age"
    vault.seal_bytes(consultation.id, form.signature, key)
    return Consent(
        id=consent_id,
        consultation_id=consultation.id,
        purposes=list(form.purposes),
        text=form.text,
        text_sha256=_sha256(form.text.encode()),
        signer_pseudonym=consultation.patient_pseudonym,
        witness_id=witness_id,
        signed_at=form.signed_at,
        expires_at=form.signed_at + dt.timedelta(days=valid_days),
        disguise_voice=form.disguise_voice,
        signature_key=key,
        signature_sha256=_sha256(form.signature),
        signature_kind=signature_kind(form.signature) or "",
        form_version=form.version,
        language=form.language,
        parts=form.parts,
        submission=form.submission,
        withdrawn_purposes=[],
    )


def require(session: Session, consultation_id: str, purpose: Purpose) -> Consent:
    """The consent that permits ``purpose`` now; the one gate that everything done with a visit passes.

    The newest signed form counts: a later form replaces what an earlier one allowed. Raises ConsentMissing,
    ConsentWithdrawn, ConsentExpired, PurposeNotGranted or VisitCancelled. The rules are the same for every kind of visit.
    """
    consultation = session.get(Consultation, consultation_id)
    if consultation is None:
        raise NotFound(what="consultation", id=consultation_id)
    told = {"consultation": consultation_id, "purpose": str(purpose)}
    if consultation.cancelled_at is not None:
        raise VisitCancelled(**told)
    if consultation.case.state is State.WITHDRAWN:
        raise ConsentWithdrawn(**told)
    if not consultation.consents:
        raise ConsentMissing(**told)
    newest = consultation.consents[-1]
    if newest.withdrawn_at is not None or purpose in newest.withdrawn_purposes:
        raise ConsentWithdrawn(**told)
    if newest.expires_at <= utc_now():
        raise ConsentExpired(**told)
    if purpose not in newest.purposes:
        raise PurposeNotGranted(**told)
    return newest


def withdraw(
    session: Session,
    consultation_id: str,
    actor_id: str,
    *,
    purposes: Collection[Purpose] | None = None,
    reason: str = "",
) -> bool:
    """Take permission back, for ``purposes`` or, with None, for everything; True when the case is sealed by it.

    A case is sealed when nothing or no recording is permitted any more, and, once there is footage, when it may no
    longer be produced or archived: from this transaction on nothing of it is processed, reviewed, played or handed
    out. Otherwise only the named purposes end. Repeating it is safe. Raises NotFound, ConsentMissing, RequestRejected.
    """
    if purposes is not None and not purposes:
        raise RequestRejected(problem="no purpose is named that is taken back")
    case = lock_case(session, consultation_id)
    consultation = session.get_one(Consultation, consultation_id)
    session.expire(consultation, ["consents"])
    if not consultation.consents:
        raise ConsentMissing(consultation=consultation_id, purpose="any")
    if case.state is State.WITHDRAWN:
        return True
    ended = _end(consultation, {str(p) for p in (Purpose if purposes is None else purposes)}, actor_id)
    if not ended:
        return False
    held = _must_be_held(case, consultation.consents[-1])
    told = Withdrawal(
        consultation_id=consultation_id, purposes=ended, reason=reason.strip(), held=held, by=actor_id
    )
    session.add(told)
    if held:
        move(session, case, State.WITHDRAWN, actor_id)
    audit.record(session, actor_id, "consent.withdraw", consultation_id, purposes=",".join(ended), held=held)
    return held


def _end(consultation: Consultation, purposes: set[str], actor_id: str) -> list[str]:
    """Take ``purposes`` out of every form; those that really ended, sorted."""
    ended: set[str] = set()
    for consent in consultation.consents:
        gone = set(consent.withdrawn_purposes) | (purposes & set(consent.purposes))
        ended |= gone - set(consent.withdrawn_purposes)
        consent.withdrawn_purposes = sorted(gone)
        if gone == set(consent.purposes) and consent.withdrawn_at is None:
            consent.withdrawn_at = utc_now()
            consent.withdrawn_by = actor_id
    return sorted(ended)


def _must_be_held(case: Case, newest: Consent) -> bool:
    gone = set(newest.withdrawn_purposes)
    if newest.withdrawn_at is not None or Purpose.RECORD in gone:
        return True
    return case.state not in BEFORE_FOOTAGE and bool(gone & NEEDED)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
