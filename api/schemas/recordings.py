"""What a station sends: recordings, segments, notes."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, Field, field_validator

from api.schemas.base import Name, Request, Seconds, TrackName
from archive.models import RecordingNote, Segment

MAX_NOTE_CHARACTERS = 65_536


class RecordingRequest(Request):
    rig: dict[str, Any]
    light: dict[str, Any] | None = None
    started_at: AwareDatetime


class RecordingAnswer(BaseModel):
    recording: str


class SegmentAnswer(BaseModel):
    track: str
    index: int
    sha256: str
    size: int

    @classmethod
    def of(cls, segment: Segment) -> SegmentAnswer:
        return cls(track=segment.track, index=segment.index, sha256=segment.sha256, size=segment.size)


class SegmentsAnswer(BaseModel):
    segments: list[SegmentAnswer]


class TrackRequest(Request):
    kind: Literal["video", "audio"]
    role: Annotated[Name, Field(max_length=32)]
    segments: Annotated[int, Field(ge=0, le=100_000)]
    lost: list[int] = Field(default_factory=list, max_length=100_000)
    """Numbers of segments that were recorded but are gone for good, after a power cut for instance."""
    whole: bool = False


class CompleteRequest(Request):
    tracks: Annotated[dict[TrackName, TrackRequest], Field(max_length=32)]
    seconds: Seconds
    notes: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """How many notes the station made: all of them have to be here."""


class NoteRequest(Request):
    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{8,64}$")]
    """The station's, so that sending it again changes nothing."""
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
    at_s: Seconds
    data: dict[str, Any] = Field(default_factory=dict)

    @field_validator("data")
    @classmethod
    def _small(cls, value: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(value, ensure_ascii=False)
        # PostgreSQL refuses NUL in a text.
        if len(text) > MAX_NOTE_CHARACTERS or "\\u0000" in text:
            raise ValueError("the data of a note is too long or holds a NUL")
        return value


class NoteAnswer(BaseModel):
    id: str
    kind: str
    at_s: float
    data: dict[str, Any]

    @classmethod
    def of(cls, note: RecordingNote) -> NoteAnswer:
        return cls(id=note.id, kind=note.kind, at_s=note.at_s, data=note.data)


class NotesAnswer(BaseModel):
    notes: list[NoteAnswer]


class StationAnswer(BaseModel):
    """``recipient`` is the public half of the base's key: what a station seals to."""

    base: str
    name: str
    zone: str
    recipient: str
    user: str
