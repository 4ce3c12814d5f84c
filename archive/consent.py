"""Consent: signed per purpose, kept with the exact text, withdrawn as easily as given."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass

from sqlalchemy.orm import Session

from archive import audit
from archive.models import Consent, Consultation, new_id, utc_now
from archive.states import lock_case, move
from archive.terms import Purpose, State
from archive.vault import Vault
from config.errors import (
    ConsentExpired,
    ConsentFormRejected,
    ConsentMissing,
    ConsentWithdrawn,
    NotFound,
    PurposeNotGranted,
)

MAX_SIGNATURE_BYTES = 10 * 1024 * 1024
# What a scanned form or a signature drawn on a tablet arrives as, by its first bytes.
SIGNATURE_KINDS = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpg", b"%PDF-": "pdf"}


@dataclass(frozen=True)
class SignedForm:
    """A form as it was signed. ``text`` is what the patient was shown, to the letter.

    ``disguise_voice``: the patient agrees on condition that their voice is made another one.
    """

    purposes: tuple[str, ...]
    text: str
    signature: bytes
    signed_at: dt.datetime
    disguise_voice: bool = False

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
        if not any(self.signature.startswith(magic) for magic in SIGNATURE_KINDS):
            return "the signature is not a PNG, JPEG or PDF file"
        if self.signed_at.tzinfo is None:
            return "the time of signing has no time zone"
        if self.signed_at > utc_now() + dt.timedelta(minutes=5):
            return "the time of signing lies in the future"
        return None


def sign(
    session: Session,
    vault: Vault,
    consultation: Consultation,
    form: SignedForm,
    witness_id: str,
    valid_days: int,
) -> Consent:
    """Keep a signed form; the signature itself is sealed. A scheduled case becomes consented."""
    consent_id = new_id()
    key = f"consents/{consultation.id}/{consent_id}.age"
    vault.seal_bytes(consultation.id, form.signature, key)
    consent = Consent(
        id=consent_id,
        consultation_id=consultation.id,
        purposes=list(form.purposes),
        text=form.text,
        text_sha256=hashlib.sha256(form.text.encode()).hexdigest(),
        signer_pseudonym=consultation.patient_pseudonym,
        witness_id=witness_id,
        signed_at=form.signed_at,
        expires_at=form.signed_at + dt.timedelta(days=valid_days),
        disguise_voice=form.disguise_voice,
        signature_key=key,
        signature_sha256=hashlib.sha256(form.signature).hexdigest(),
    )
    session.add(consent)
    audit.record(session, witness_id, "consent.sign", consultation.id, purposes=",".join(form.purposes))
    case = lock_case(session, consultation.id)
    if case.state is State.SCHEDULED and Purpose.RECORD in form.purposes:
        move(session, case, State.CONSENTED, witness_id)
    return consent


def require(session: Session, consultation_id: str, purpose: Purpose) -> Consent:
    """The consent that permits ``purpose`` now.

    The newest signed form counts: a later form replaces what an earlier one allowed. Raises ConsentMissing,
    ConsentWithdrawn, ConsentExpired or PurposeNotGranted.
    """
    consultation = session.get(Consultation, consultation_id)
    if consultation is None:
        raise NotFound(what="consultation", id=consultation_id)
    told = {"consultation": consultation_id, "purpose": str(purpose)}
    if not consultation.consents:
        raise ConsentMissing(**told)
    newest = consultation.consents[-1]
    if newest.withdrawn_at is not None:
        raise ConsentWithdrawn(**told)
    if newest.expires_at <= utc_now():
        raise ConsentExpired(**told)
    if purpose not in newest.purposes:
        raise PurposeNotGranted(**told)
    return newest


def withdraw(session: Session, consultation_id: str, actor_id: str) -> None:
    """Withdraw every form of a consultation: from this transaction on nothing of it is processed or played."""
    consultation = session.get(Consultation, consultation_id)
    if consultation is None:
        raise NotFound(what="consultation", id=consultation_id)
    if not consultation.consents:
        raise ConsentMissing(consultation=consultation_id, purpose="any")
    for consent in consultation.consents:
        if consent.withdrawn_at is None:
            consent.withdrawn_at = utc_now()
            consent.withdrawn_by = actor_id
    case = lock_case(session, consultation_id)
    if case.state is not State.WITHDRAWN:
        move(session, case, State.WITHDRAWN, actor_id)
    audit.record(session, actor_id, "consent.withdraw", consultation_id)
