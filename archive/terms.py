"""The words of the domain: who does what to which kind of thing, and how far it has come."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    TECHNICIAN = "technician"
    REVIEWER = "reviewer"
    EXPERT = "expert"
    TRAINEE = "trainee"
    MANAGER = "manager"


class Kind(StrEnum):
    """Kinds of recording; the privacy rules are the same for all three."""

    CONSULTATION = "consultation"
    DEMONSTRATION = "demonstration"
    DISCUSSION = "discussion"


class Purpose(StrEnum):
    """What a patient can permit, each separately (PIPL art. 29)."""

    RECORD = "record"
    TEACH_ON_SITE = "teach_on_site"
    LIVE_REMOTE = "live_remote"
    ARCHIVE = "archive"
    THIRD_PARTY_PRODUCTION = "third_party_production"
    RESEARCH = "research"


class State(StrEnum):
    SCHEDULED = "scheduled"
    CONSENTED = "consented"
    RECORDING = "recording"
    UPLOADED = "uploaded"
    PROCESSING = "processing"
    IN_REVIEW = "in_review"
    EXPERT_REVIEW = "expert_review"
    PUBLISHED = "published"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    FAILED = "failed"


class Decision(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"


class Finding(StrEnum):
    """What a named person says about an alarm of the privacy verification."""

    NO_FACE = "no-face"
    """Nobody can be recognised there."""
    EXPERT = "expert"
    """It is the expert, who may be seen."""


class Level(StrEnum):
    """The two signatures of the double review."""

    COMPANY = "company"
    EXPERT = "expert"


class HoldVerdict(StrEnum):
    """What a manager decides about the footage of a withdrawn case."""

    ERASE = "erase"
    """Its key is destroyed: every copy becomes unreadable (PIPL art. 47)."""
    KEEP = "keep"
    """A law obliges to keep it: it stays sealed, for no other use, until a date to decide again."""


class Topic(StrEnum):
    """What an attachment shows."""

    TONGUE = "tongue"
    PULSE = "pulse"
    REPORT = "report"
    OTHER = "other"
