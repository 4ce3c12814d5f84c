"""Who the patient is: the only place where real names are kept, sealed with the case's own key.

They are needed to take spoken names out of text and sound, and are told to nothing else.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from archive.vault import Vault
from config.errors import NotFound, RequestRejected

PREFIX = "consultations"
MAX_NAMES, MAX_CHARACTERS = 20, 60
SECRET_BYTES = 32


@dataclass(frozen=True)
class PersonName:
    """``text`` as it is written on the form."""

    text: str
    relation: Literal["patient", "relative"] = "patient"


def keep_names(vault: Vault, case_id: str, names: Sequence[PersonName]) -> None:
    """Keep ``names`` sealed in the place of those kept before. Raises RequestRejected, and what the vault raises."""
    cleaned = list(dict.fromkeys(PersonName(name.text.strip(), name.relation) for name in names))
    if len(cleaned) > MAX_NAMES:
        raise RequestRejected(problem=f"more than {MAX_NAMES} names")
    if any(not name.text or len(name.text) > MAX_CHARACTERS for name in cleaned):
        raise RequestRejected(problem=f"a name has 1 to {MAX_CHARACTERS} characters")
    told = json.dumps([asdict(name) for name in cleaned], ensure_ascii=False)
    vault.seal_bytes(case_id, told.encode(), _names_key(case_id))


def names_of(vault: Vault, case_id: str) -> list[PersonName]:
    """The names kept for a case, none where none were. Raises what the vault raises."""
    try:
        raw = vault.open_bytes(case_id, _names_key(case_id))
    except NotFound:
        return []
    return [PersonName(**name) for name in json.loads(raw)]


def voice_secret(vault: Vault, case_id: str) -> bytes:
    """The secret that makes the patient's other voice; made once, so that every run gives the same sound."""
    key = f"{PREFIX}/{case_id}/voice.age"
    try:
        return vault.open_bytes(case_id, key)
    except NotFound:
        fresh = secrets.token_bytes(SECRET_BYTES)
        vault.seal_bytes(case_id, fresh, key)
        return fresh


def _names_key(case_id: str) -> str:
    return f"{PREFIX}/{case_id}/names.age"
