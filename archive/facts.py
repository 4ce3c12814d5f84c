"""What a package says about its case. People appear as pseudonyms, a signature as its hash, and in no other way."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import asdict, dataclass
from typing import Any

from archive.terms import Purpose
from config.errors import ConsentFormRejected, RequestRejected

PURPOSES = tuple(str(purpose) for purpose in Purpose)


@dataclass(frozen=True)
class ConsentFacts:
    """One signed form. ``text`` is what was shown, to the letter; the hashes are SHA-256 in hex."""

    id: str
    purposes: tuple[str, ...]
    text: str
    text_sha256: str
    signer_pseudonym: str
    signed_at: dt.datetime
    expires_at: dt.datetime
    signature_sha256: str
    witness_pseudonym: str | None

    def __post_init__(self) -> None:
        """Raises ConsentFormRejected with the first problem found."""
        unknown = sorted(set(self.purposes) - set(PURPOSES))
        if unknown or not self.purposes:
            raise ConsentFormRejected(problem=f"unknown purpose {unknown[0]!r}" if unknown else "no purpose")
        if hashlib.sha256(self.text.encode()).hexdigest() != self.text_sha256:
            raise ConsentFormRejected(problem="the text is not the one that was signed")
        if self.expires_at <= self.signed_at:
            raise ConsentFormRejected(problem="the consent ends before it begins")


@dataclass(frozen=True)
class PackageFacts:
    """Everything a package states that is not in its files; the same facts give the same bytes.

    ``rights`` is the text of the written agreement on who may use the case, and for what.
    """

    case: str
    title: str
    kind: str
    base_code: str
    base_name: str
    expert_name: str
    patient_pseudonym: str
    recorded_at: dt.datetime
    packaged_at: dt.datetime
    language: str
    rights: str
    consent: ConsentFacts


def utc_text(moment: dt.datetime) -> str:
    """ISO 8601 in UTC with a Z. Raises RequestRejected for a time without a zone."""
    if moment.tzinfo is None:
        raise RequestRejected(problem=f"time without a zone: {moment.isoformat()}")
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


_TIMES = ("recorded_at", "packaged_at", "signed_at", "expires_at")


def facts_to_dict(facts: PackageFacts) -> dict[str, Any]:
    """The facts as plain data, for a child process."""
    return _plain(asdict(facts))


def _plain(raw: dict[str, Any]) -> dict[str, Any]:
    told = {name: value.isoformat() if name in _TIMES else value for name, value in raw.items()}
    return told | {"consent": _plain(told["consent"])} if "consent" in told else told


def facts_from_dict(plain: dict[str, Any]) -> PackageFacts:
    """The inverse of :func:`facts_to_dict`."""
    consent = _timed(plain["consent"])
    consent["purposes"] = tuple(consent["purposes"])
    return PackageFacts(**{**_timed(plain), "consent": ConsentFacts(**consent)})


def _timed(raw: dict[str, Any]) -> dict[str, Any]:
    return {k: dt.datetime.fromisoformat(v) if k in _TIMES else v for k, v in raw.items()}
