"""A signed consent as an HL7 FHIR R4 resource (https://hl7.org/fhir/R4/consent.html)."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

from archive.facts import PURPOSES, ConsentFacts, PackageFacts, utc_text

NAMESPACE = "urn:x-yian"
_TERMS = "http://terminology.hl7.org/CodeSystem"
# Each purpose of the form as FHIR's consentaction and as HL7's purpose of use (v3-ActReason).
_MEANING = {
    "record": ("collect", "TRAIN"),
    "teach_on_site": ("access", "TRAIN"),
    "live_remote": ("disclose", "TRAIN"),
    "archive": ("use", "TRAIN"),
    "third_party_production": ("disclose", "HOPERAT"),
    "research": ("use", "HRESCH"),
}


def fhir_consent(facts: PackageFacts) -> dict[str, Any]:
    """The Consent resource: opt-in, so every purpose has a rule of its own, permitted or denied."""
    consent = facts.consent
    signer = _reference("person", consent.signer_pseudonym)
    return {
        "resourceType": "Consent",
        "id": consent.id,
        "identifier": [_identifier("consent", consent.id)],
        "status": "active",
        "scope": _concept("consentscope", "patient-privacy"),
        "category": [{"coding": [{"system": "http://loinc.org", "code": "59284-0"}]}],
        "patient": _reference("person", facts.patient_pseudonym),
        "dateTime": utc_text(consent.signed_at),
        "performer": [signer],
        "organization": [{**_reference("base", facts.base_code), "display": facts.base_name}],
        "sourceAttachment": _source(consent, facts.language),
        "policyRule": _concept("v3-ActCode", "OPTIN"),
        "provision": {
            "type": "deny",
            "period": _period(consent),
            "data": [{"meaning": "related", "reference": _reference("case", facts.case)}],
            "provision": [_rule(purpose, consent) for purpose in PURPOSES],
        },
        "verification": [_verification(consent, signer)],
    }


def _rule(purpose: str, consent: ConsentFacts) -> dict[str, Any]:
    action, use = _MEANING[purpose]
    return {
        "type": "permit" if purpose in consent.purposes else "deny",
        "period": _period(consent),
        "action": [_concept("consentaction", action)],
        "purpose": [
            {"system": f"{NAMESPACE}:purpose", "code": purpose},
            {"system": f"{_TERMS}/v3-ActReason", "code": use},
        ],
    }


def _source(consent: ConsentFacts, language: str) -> dict[str, Any]:
    text = consent.text.encode()
    return {
        "extension": [{"url": f"{NAMESPACE}:sha256", "valueString": consent.text_sha256}],
        "contentType": "text/plain; charset=utf-8",
        "language": language,
        "data": base64.b64encode(text).decode(),
        "size": len(text),
        # FHIR fixes SHA-1 for this field; the extension beside it carries the hash that is relied on.
        "hash": base64.b64encode(hashlib.sha1(text, usedforsecurity=False).digest()).decode(),
        "creation": utc_text(consent.signed_at),
    }


def _verification(consent: ConsentFacts, signer: dict[str, Any]) -> dict[str, Any]:
    extension: list[dict[str, Any]] = [
        {"url": f"{NAMESPACE}:signature-sha256", "valueString": consent.signature_sha256}
    ]
    if consent.witness_pseudonym is not None:
        witness = _reference("person", consent.witness_pseudonym)
        extension.append({"url": f"{NAMESPACE}:witness", "valueReference": witness})
    return {
        "extension": extension,
        "verified": True,
        "verifiedWith": signer,
        "verificationDate": utc_text(consent.signed_at),
    }


def _period(consent: ConsentFacts) -> dict[str, str]:
    return {"start": utc_text(consent.signed_at), "end": utc_text(consent.expires_at)}


def _identifier(kind: str, value: str) -> dict[str, str]:
    return {"system": f"{NAMESPACE}:{kind}", "value": value}


def _reference(kind: str, value: str) -> dict[str, Any]:
    return {"identifier": _identifier(kind, value)}


def _concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": f"{_TERMS}/{system}", "code": code}]}
