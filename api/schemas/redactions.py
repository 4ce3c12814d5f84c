"""What was taken out of the speech of a case."""

from __future__ import annotations

from pydantic import BaseModel


class RedactionAnswer(BaseModel):
    """Something that was said and identifies the patient. ``hidden``: whether a tone and a placeholder stand for it."""

    id: str
    kind: str
    role: str
    start_s: float
    end_s: float
    confidence: float
    why: str
    text: str
    hidden: bool


class RedactionsAnswer(BaseModel):
    edit: int
    redactions: list[RedactionAnswer]
