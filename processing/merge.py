"""Who said what: the recognised words of every turn become lines with marks and suggestions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from config.settings import SpeechSettings
from processing.lexicon import Lexicon, load_lexicon
from processing.punctuation import normalise_words, punctuate
from processing.suggest import suggest
from processing.transcript import Line, Transcript, Turn, Word


@dataclass(frozen=True)
class Recognised:
    """What recognition heard, as it heard it. ``unheard``: turns at which it broke down. ``duration_s``: of the sound."""

    said: tuple[tuple[Turn, tuple[Word, ...]], ...] = ()
    unheard: tuple[Turn, ...] = ()
    duration_s: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return {
            "said": [[turn.to_dict(), [asdict(word) for word in words]] for turn, words in self.said],
            "unheard": [turn.to_dict() for turn in self.unheard],
            "duration_s": self.duration_s,
        }

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Recognised:
        said = tuple(
            (Turn.from_dict(turn), tuple(Word(**word) for word in words)) for turn, words in raw["said"]
        )
        return cls(said, tuple(map(Turn.from_dict, raw["unheard"])), raw["duration_s"])


def merge(heard: Recognised, settings: SpeechSettings, *, notes: tuple[str, ...] = ()) -> Transcript:
    """Lines in order of time, in simplified characters and with punctuation; near-homophones of terms are suggestions."""
    lexicon = load_lexicon() if heard.said else None
    lines = [
        line for turn, words in heard.said if lexicon and (line := _line(turn, words, lexicon)) is not None
    ]
    lines.sort(key=lambda line: (line.start_s, line.end_s, line.role))
    return Transcript(settings.language, settings.model, tuple(lines), heard.unheard, heard.duration_s, notes)


def _line(turn: Turn, said: Sequence[Word], lexicon: Lexicon) -> Line | None:
    """The line of one turn with its marks and suggestions; None where nothing was said."""
    plain = normalise_words(said)
    if not re.search(r"\w", "".join(word.text for word in plain)):
        return None
    marked = punctuate(plain)
    line = Line.heard(turn, marked, punctuation_added=marked != plain)
    return replace(line, suggestions=suggest(line.words, lexicon))
