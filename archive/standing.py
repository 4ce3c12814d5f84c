"""Where a visit stands with its consent, in one code: what a station is told before it records."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy.orm import Session

from archive import consent
from archive.models import Consultation
from archive.terms import Purpose, State
from config.errors import (
    ConsentExpired,
    ConsentMissing,
    ConsentRefused,
    ConsentWithdrawn,
    PurposeNotGranted,
    VisitCancelled,
)

CODES: dict[type[ConsentRefused], str] = {
    ConsentMissing: "missing",
    ConsentWithdrawn: "withdrawn",
    ConsentExpired: "expired",
    PurposeNotGranted: "not_granted",
    VisitCancelled: "cancelled",
}
# From later states no recording can be opened any more.
RECORDABLE = frozenset({State.CONSENTED, State.RECORDING})


@dataclass(frozen=True)
class Standing:
    """``code``: signed, missing, withdrawn, expired, not_granted or cancelled, as far as recording is concerned.

    ``purposes`` are those that hold now; ``since`` and ``until`` tell of the newest form, whatever became of it.
    """

    code: str
    may_record: bool
    purposes: tuple[str, ...] = ()
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    withdrawn_at: dt.datetime | None = None
    disguise_voice: bool = False


def standing(session: Session, consultation: Consultation) -> Standing:
    """Asks the same gate that every recording passes, so that a list never promises what is refused later."""
    code = _code(session, consultation)
    may_record = code == "signed" and consultation.case.state in RECORDABLE
    if not consultation.consents:
        return Standing(code, may_record)
    newest = consultation.consents[-1]
    holding = code in ("signed", "not_granted")
    return Standing(
        code=code,
        may_record=may_record,
        purposes=tuple(p for p in newest.purposes if p not in newest.withdrawn_purposes) if holding else (),
        since=newest.signed_at,
        until=newest.expires_at,
        withdrawn_at=newest.withdrawn_at,
        disguise_voice=newest.disguise_voice,
    )


def _code(session: Session, consultation: Consultation) -> str:
    try:
        consent.require(session, consultation.id, Purpose.RECORD)
    except ConsentRefused as refusal:
        return CODES[type(refusal)]
    return "signed"
