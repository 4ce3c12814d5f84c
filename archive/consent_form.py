"""The consent form as it is shown: the wording by version and language, and the exact text that is kept of it.

The wording lies in ``consent_forms.toml``. Whatever a page shows and whatever is signed comes from here, so that both
are the same to the letter.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from archive.terms import Kind, Purpose

WORDING = Path(__file__).with_name("consent_forms.toml")
AGREED, NOT_AGREED = "☑", "☐"


@dataclass(frozen=True)
class ConsentForm:
    """One visit's form in one language, with its places filled in."""

    version: str
    language: str
    title: str
    intro: str
    protection: str
    rights: str
    voice: str
    signing: str
    purposes: dict[str, str]
    """By purpose, in the order of the form."""

    def whole(self, agreed: Collection[str], disguise_voice: bool) -> str:
        """The whole text with what was ticked and what was not: what is kept, hashed and printed."""
        asked = [f"{_tick(purpose in agreed)} {text}" for purpose, text in self.purposes.items()]
        condition = f"{_tick(disguise_voice)} {self.voice}"
        parts = [self.title, self.intro, self.protection, *asked, condition, self.rights, self.signing]
        return "\n\n".join(parts) + "\n"

    def parts(self, agreed: Collection[str]) -> dict[str, Any]:
        """By purpose: ``text`` as it was shown, its ``sha256``, and whether it was ``agreed`` to."""
        return {
            purpose: {
                "text": text,
                "sha256": hashlib.sha256(text.encode()).hexdigest(),
                "agreed": purpose in agreed,
            }
            for purpose, text in self.purposes.items()
        }


def consent_form(kind: Kind, language: str, *, base: str, expert: str, visit: str, days: int) -> ConsentForm:
    """The form that is shown for a visit of ``kind`` now. ``days``: how long a signature holds."""
    raw = [form for form in _wording() if str(kind) in form["kinds"]][-1]
    told = {"base": base, "expert": expert, "visit": visit, "days": days}
    words = {
        name: text.strip().format(**told) for name, text in raw[language].items() if isinstance(text, str)
    }
    asked = {str(purpose): raw[language]["purposes"][purpose].strip() for purpose in Purpose}
    return ConsentForm(version=raw["version"], language=language, purposes=asked, **words)


@cache
def _wording() -> list[dict[str, Any]]:
    return list(tomllib.loads(WORDING.read_text("utf-8"))["form"])


def _tick(agreed: bool) -> str:
    return AGREED if agreed else NOT_AGREED
