"""The transcript: who said what, when, and how sure the recogniser was. ``transcript.json`` is its published form."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from config.errors import TranscriptRejected
from config.problem import first_problem

# Names as they stand in the published files, which are Chinese whatever language the screen is in.
SPEAKERS: Mapping[str, str] = {
    "expert": "带教专家",
    "patient": "患者",
    "trainee": "学员",
    "room": "现场",
    "unknown": "未知",
}
# Stands before what a recogniser said with less confidence than this.
UNSURE = "（？）"
LOW_CONFIDENCE = 0.5
SPEAKERS_UNKNOWN = "speakers-unknown"
_TICK_S = 0.02  # Whisper's own step in time: a word without length still counts
_NUMBERED = re.compile(r"speaker-(\d+)")

Seconds = Annotated[float, Field(ge=0, description="seconds from the start of the recording")]
Share = Annotated[float, Field(ge=0, le=1)]
Offset = Annotated[
    int, Field(ge=0, description="characters (Unicode code points) from the start of the line")
]


# Who is known not to be the patient.
STAFF_ROLES = frozenset({"expert", "trainee"})


@dataclass(frozen=True)
class Turn:
    """One stretch in which one speaker talks.

    ``role`` is 'expert', 'patient', 'trainee', 'room', 'unknown', or 'speaker-1', 'speaker-2' … for voices that were
    told apart but not named. ``channel``: the microphone that hears it best, by role; empty: the one of its own role.
    """

    role: str
    start_s: Seconds
    end_s: Seconds
    channel: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Turn:
        return cls(**raw)


@dataclass(frozen=True)
class Word:
    """What the recogniser calls a word (in Chinese often one character), with its own times."""

    text: str
    start_s: Seconds
    end_s: Seconds
    probability: Share


@dataclass(frozen=True)
class Suggestion:
    """A term that sounds like what was recognised; never put in the text by a program.

    ``heard`` is ``text[start:end]`` of its line, ``term`` what it may have been, ``kind`` the term's group.
    """

    start: Offset
    end: Offset
    heard: str
    term: str
    kind: str
    start_s: Seconds
    end_s: Seconds
    confidence: Share


@dataclass(frozen=True)
class Line:
    """What was said in one turn: the texts of ``words`` joined are ``text``.

    ``id`` is made of role and start where none is given, so that it outlives another recognition of the same turns,
    and it stays when the line is edited. ``confidence`` is that of the recogniser, from 0 to 1.
    ``punctuation_added``: every mark in the line is ours, for the recogniser gave none.
    """

    role: str
    start_s: Seconds
    end_s: Seconds
    text: str
    words: tuple[Word, ...] = ()
    id: str = ""
    confidence: Share = 1.0
    low_confidence: bool = False
    punctuation_added: bool = False
    suggestions: tuple[Suggestion, ...] = ()

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", f"{self.role}-{round(self.start_s * 1000)}")

    @classmethod
    def heard(cls, turn: Turn, words: Sequence[Word], punctuation_added: bool = False) -> Line:
        """The line that ``words`` make, with the confidence they have, each weighted by its length in time."""
        weights = [max(word.end_s - word.start_s, _TICK_S) for word in words]
        sum_of_chances = sum(word.probability * weight for word, weight in zip(words, weights, strict=True))
        confidence = round(min(sum_of_chances / sum(weights), 1.0), 4) if words else 0.0
        return cls(
            turn.role,
            turn.start_s,
            turn.end_s,
            "".join(word.text for word in words),
            tuple(words),
            confidence=confidence,
            low_confidence=confidence < LOW_CONFIDENCE,
            punctuation_added=punctuation_added,
        )


@dataclass(frozen=True)
class Transcript:
    """``unheard``: turns in which somebody spoke but recognition failed; the rest is kept all the same.

    ``duration_s`` is that of the recording, 0 where nobody measured it. ``notes`` are codes of what has to be known
    about the whole, such as 'speakers-unknown'.
    """

    language: str
    model: str
    lines: tuple[Line, ...] = ()
    unheard: tuple[Turn, ...] = ()
    duration_s: Seconds = 0.0
    notes: tuple[str, ...] = ()
    version: Literal[1] = 1

    @property
    def speakers_known(self) -> bool:
        return SPEAKERS_UNKNOWN not in self.notes

    def to_dict(self) -> dict[str, Any]:
        """As transcript.schema.json describes it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Transcript:
        """Raises TranscriptRejected for anything that transcript.schema.json does not allow."""
        try:
            return _adapter().validate_python(raw, extra="forbid")
        except ValidationError as error:
            raise TranscriptRejected(problem=first_problem(error)) from error


def speaker_name(role: str, names: Mapping[str, str] = SPEAKERS) -> str:
    """What a reader calls ``role``: its name, 'speaker-2' as 说话人 2, else the role itself."""
    if role in names:
        return names[role]
    numbered = _NUMBERED.fullmatch(role)
    return f"说话人 {numbered[1]}" if numbered else role


def transcript_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of ``transcript.json``; published as processing/transcript.schema.json."""
    schema = _adapter().json_schema(mode="serialization")
    for part in (schema, *schema["$defs"].values()):
        # Whatever is not described here, such as what a redacted word was, must not slip out in a published file.
        part["additionalProperties"] = False
        part["required"] = sorted(part["properties"])
        for field in part["properties"].values():
            field.pop("title", None)
            field.pop("default", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


@cache
def _adapter() -> TypeAdapter[Transcript]:
    return TypeAdapter(Transcript)
