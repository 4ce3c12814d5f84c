"""What a reviewer or an expert decides, with the edits."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from api.schemas.base import Note, Request, TrackName
from archive.edits import MAX_DECISIONS, MAX_REGIONS, SPEECH
from archive.terms import Decision
from processing.overrides import Overrides, RegionId, TrackNumbers
from processing.redaction_edits import Addition, RedactionEdits, SpanId

MAX_SPANS = 500


class EditsRequest(Overrides):
    """What a reviewer wants changed in one camera's picture; what earlier edits say beside it stays.

    ``reset_tracks`` are decided as if no edit had named them; ``remove_regions`` are regions of earlier edits.
    """

    reset_tracks: TrackNumbers = ()
    remove_regions: Annotated[tuple[RegionId, ...], Field(max_length=MAX_REGIONS)] = ()


class SpeechEditsRequest(RedactionEdits):
    """What a reviewer wants heard (``keep``) or hidden (``add``) in text and sound; earlier edits beside it stay.

    ``reset``: spans that were to be heard and are hidden again; ``remove_add``: additions that are taken back.
    """

    reset: Annotated[tuple[SpanId, ...], Field(max_length=MAX_DECISIONS)] = ()
    remove_add: Annotated[tuple[Addition, ...], Field(max_length=MAX_DECISIONS)] = ()


class RetryRequest(Request):
    edits: Annotated[dict[TrackName, EditsRequest], Field(max_length=32)] | None = None
    """By camera."""
    speech: SpeechEditsRequest | None = None

    def edits_to_keep(self) -> dict[str, Any] | None:
        """The edits as they are kept with the case; None: the reviewer changed nothing."""
        if self.edits is None and self.speech is None:
            return None
        edits = {
            camera: edits.model_dump(mode="json", exclude_unset=True)
            for camera, edits in (self.edits or {}).items()
        }
        if self.speech is not None:
            edits[SPEECH] = self.speech.model_dump(mode="json", exclude_unset=True)
        return edits


class ReviewRequest(RetryRequest):
    decision: Decision
    note: Note = ""
    package_seal: Annotated[str, Field(max_length=128)] | None = None
    """The seal of the package that was looked at; when it is no longer the case's, nothing is signed."""
