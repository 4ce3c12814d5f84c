"""What reviewers decide about spoken identifiers: spans that are none, and what was overlooked.

The document is JSON, version 1 (a document without a version is of version 1):

    {"version": 1, "keep": ["name-3f2a9c0d1b7e"],
     "add": [{"start_s": 61.2, "end_s": 63.0, "kind": "name", "role": "patient"}]}

``keep`` names spans whose words stay in text and sound. Of what is added, the words that were said in that time
are hidden: those of one ``role``, or everybody's where none is named. Times are seconds of the recording.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from archive.edits import MAX_DECISIONS
from config.errors import EditsRejected
from config.problem import first_problem
from processing.redact import RedactionSpan, span_id, span_of, words_of_text
from processing.textspan import Kind, TextSpan
from processing.transcript import Line, Transcript

LONGEST_S = 1e6

Seconds = Annotated[float, Field(strict=True, ge=0, le=LONGEST_S, allow_inf_nan=False)]
SpanId = Annotated[str, Field(pattern=r"^[a-z_]{1,20}-[0-9a-f]{12}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Addition(_Strict):
    """A time in which somebody was identified and nothing was found."""

    start_s: Seconds
    end_s: Seconds
    kind: Kind
    role: Literal["expert", "patient", "trainee", "room", "unknown"] | None = None

    @model_validator(mode="after")
    def _has_length(self) -> Self:
        if self.start_s >= self.end_s:
            raise PydanticCustomError("order", "end_s is not after start_s")
        return self


class RedactionEdits(_Strict):
    """The whole document. What is added wins over what is kept."""

    version: Literal[1] = 1
    keep: Annotated[tuple[SpanId, ...], Field(max_length=MAX_DECISIONS)] = ()
    add: Annotated[tuple[Addition, ...], Field(max_length=MAX_DECISIONS)] = ()


def parse_redaction_edits(raw: Any) -> RedactionEdits:
    """The document read from JSON. Raises EditsRejected, naming the first place that is wrong."""
    try:
        return RedactionEdits.model_validate(raw)
    except ValidationError as error:
        raise EditsRejected(problem=first_problem(error, "redaction")) from error


def apply_redaction_edits(
    transcript: Transcript, spans: Sequence[RedactionSpan], edits: RedactionEdits
) -> list[RedactionSpan]:
    """The spans that stay after people's decisions. Raises EditsRejected for the id of a span that is not there."""
    strangers = sorted(set(edits.keep) - {span.id for span in spans})
    if strangers:
        raise EditsRejected(problem=f"keep: no span {strangers[0]}")
    kept = set(edits.keep)
    return [
        *(span for span in spans if span.id not in kept),
        *(span for addition in edits.add for span in _added(transcript.lines, addition)),
    ]


def _added(lines: Sequence[Line], addition: Addition) -> Iterator[RedactionSpan]:
    """One span for each line with words in the time, or one of sound alone."""
    found = False
    for number, line in enumerate(lines):
        if addition.role in (None, line.role) and (place := _characters_in(line, addition)):
            found = True
            span = span_of(lines, number, TextSpan(addition.kind, *place, 1.0, "added-by-reviewer"))
            yield replace(
                span,
                start_s=min(span.start_s, addition.start_s),
                end_s=max(span.end_s, addition.end_s),
            )
    if not found:
        role = addition.role or "unknown"
        id = span_id(addition.kind, role, addition.start_s, addition.end_s, 0)
        yield RedactionSpan(
            id, addition.kind, role, None, 0, 0, addition.start_s, addition.end_s, 1.0, "added-by-reviewer"
        )


def _characters_in(line: Line, addition: Addition) -> tuple[int, int] | None:
    """The characters whose words sound within the time; all of a line without words that does."""
    if not line.words:
        return (0, len(line.text)) if _meets(line.start_s, line.end_s, addition) and line.text else None
    said = {number for number, word in enumerate(line.words) if _meets(word.start_s, word.end_s, addition)}
    under = [
        place
        for place, (first, last) in enumerate(words_of_text(line))
        if said.intersection(range(first, last))
    ]
    return (under[0], under[-1] + 1) if under else None


def _meets(start_s: float, end_s: float, addition: Addition) -> bool:
    return start_s < addition.end_s and max(end_s, start_s + 0.001) > addition.start_s
