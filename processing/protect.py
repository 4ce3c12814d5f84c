"""A transcript as it may be published: without what identifies the patient, and with the list of what was taken out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from processing.lexicon import Lexicon, load_lexicon
from processing.names import RegisteredName
from processing.redact import RedactionSpan, apply_redaction, find_spans
from processing.redaction_edits import RedactionEdits, apply_redaction_edits
from processing.suggest import suggest
from processing.transcript import Line, Transcript


@dataclass(frozen=True)
class Protected:
    """``transcript`` may be published; ``spans`` hold what was said and may not.

    ``found`` are all that were found, those too that a reviewer left in the text.
    """

    transcript: Transcript
    spans: tuple[RedactionSpan, ...]
    found: tuple[RedactionSpan, ...]

    def secret_list(self) -> list[dict[str, Any]]:
        """For reviewers, to be kept encrypted: every span with its words, and whether it is hidden."""
        hidden = {span.id for span in self.spans}
        every = {span.id: span for span in (*self.found, *self.spans)}
        ordered = sorted(every.values(), key=lambda span: (span.start_s, span.end_s, span.id))
        return [{**span.to_dict(), "hidden": span.id in hidden} for span in ordered]


def protect(
    transcript: Transcript, names: Sequence[RegisteredName], edits: RedactionEdits | None = None
) -> Protected:
    """Take out the registered ``names`` and every other identifier, as reviewers' ``edits`` have it.

    Raises EditsRejected when they speak of a span that is not there.
    """
    lexicon = load_lexicon()
    found = find_spans(transcript, names, frozenset(lexicon.by_text))
    spans = apply_redaction_edits(transcript, found, edits or RedactionEdits())
    hidden = apply_redaction(transcript, spans)
    lines = tuple(
        after if after is before else _suggested_anew(after, lexicon)
        for before, after in zip(transcript.lines, hidden.lines, strict=True)
    )
    return Protected(replace(hidden, lines=lines), tuple(spans), tuple(found))


def _suggested_anew(line: Line, lexicon: Lexicon) -> Line:
    """What was suggested for the words before would tell some of them."""
    return replace(line, suggestions=suggest(line.words, lexicon))
