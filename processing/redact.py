"""What in a transcript identifies the patient, when it was said, and the transcript without it."""

from __future__ import annotations

import hashlib
import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from difflib import SequenceMatcher
from typing import Any

from processing.identifiers import find_identifiers
from processing.names import RegisteredName
from processing.numbers import find_repeats
from processing.spoken import FILLER, PAUSE, digit_runs, fold
from processing.textspan import PLACEHOLDERS, Kind, TextSpan, merged
from processing.transcript import Line, Transcript, Word

# A number is read on after this long at most; the other says 嗯 or "go on" meanwhile.
_PAUSE_S = 12.0
# Edges of words are trusted when the recogniser was this sure of them and they last this long.
_SURE, _SHORTEST_WORD_S = 0.5, 0.03
# Numbers of these kinds are looked for again wherever four digits of them are said.
_NUMBERS = frozenset(("id_number", "phone", "record_number", "insurance_number", "plate"))
_SHORTEST_PLACE = 2
_ONLY_FILLERS = re.compile(rf"(?:{FILLER}|好的?|行|可以|知道|您说|你说|记了|[\s，,。、.!！?？…])*")

_LEADING = re.compile(rf"^(?:{PAUSE}|{FILLER})+")
_TRAILING = re.compile(rf"(?:{PAUSE}|{FILLER})+$")


@dataclass(frozen=True)
class RedactionSpan:
    """One stretch to hide, of one line: its sound from ``start_s`` to ``end_s`` and its text.

    ``start_char`` and ``end_char`` (excluded) count in the text of line ``line`` of the transcript before redaction;
    ``line`` is None where only sound is hidden. ``text`` is what was said: it is for reviewers, kept encrypted, and no
    part of :meth:`published`.
    """

    id: str
    kind: Kind
    role: str
    line: int | None
    start_char: int
    end_char: int
    start_s: float
    end_s: float
    confidence: float
    why: str
    text: str = field(default="", repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Everything, the secret text too: for the encrypted list."""
        return asdict(self)

    def published(self) -> dict[str, Any]:
        """What may be shown to anybody: kinds, times and reasons."""
        return {key: value for key, value in asdict(self).items() if key != "text"}

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> RedactionSpan:
        return cls(**raw)


def find_spans(
    transcript: Transcript, names: Sequence[RegisteredName] = (), terms: Collection[str] = ()
) -> list[RedactionSpan]:
    """Everything in ``transcript`` that identifies the patient or a relative, in the order of the lines.

    Each speaker's lines are read on their own, so that a number told in two goes is one number, and the
    conversation as a whole, so that the answer to "and your telephone?" is known for what it is.
    """
    by_line: dict[int, list[TextSpan]] = {}
    for passage in _passages(transcript.lines):
        for found in find_identifiers(passage.text, names, terms):
            for number, span in passage.pieces(found):
                by_line.setdefault(number, []).append(span)
    for number, again in _said_again(transcript.lines, by_line):
        by_line.setdefault(number, []).append(again)
    return [
        span_of(transcript.lines, number, found)
        for number in sorted(by_line)
        for found in merged(by_line[number])
    ]


def _said_again(
    lines: Sequence[Line], by_line: Mapping[int, Sequence[TextSpan]]
) -> Iterator[tuple[int, TextSpan]]:
    """What was found once and is said again without the words that gave it away: 望京哪儿? 八零零零, 对吧?"""
    said: dict[tuple[Kind, str], str] = {}
    places: set[str] = set()
    for number in sorted(by_line):
        for span in merged(by_line[number]):
            text = fold(lines[number].text[span.start : span.end])
            if span.kind in _NUMBERS:
                who = span.kind, lines[number].role
                said[who] = said.get(who, "") + "".join(run.digits for run in digit_runs(text))
            elif span.kind == "address" and len(text) >= _SHORTEST_PLACE:
                places.add(text)
    for number, line in enumerate(lines):
        folded = fold(line.text)
        for (kind, _role), digits in said.items():
            yield from ((number, replace(span, kind=kind)) for span in find_repeats(folded, digits))
        for text in places:
            for match in re.finditer(re.escape(text), folded):
                yield number, TextSpan("address", match.start(), match.end(), 0.4, "said-again")


def span_of(lines: Sequence[Line], number: int, found: TextSpan) -> RedactionSpan:
    """The characters ``found`` in line ``number`` with the times at which they were said."""
    line = lines[number]
    start_s, end_s = said_s(line, found.start, found.end)
    return RedactionSpan(
        id=span_id(found.kind, line.role, start_s, end_s, found.start),
        kind=found.kind,
        role=line.role,
        line=number,
        start_char=found.start,
        end_char=found.end,
        start_s=start_s,
        end_s=end_s,
        confidence=found.confidence,
        why=found.why,
        text=line.text[found.start : found.end],
    )


def span_id(kind: Kind, role: str, start_s: float, end_s: float, start_char: int) -> str:
    """The same for the same place on every run, and nothing of what was said."""
    place = f"{kind}|{role}|{start_s:.3f}|{end_s:.3f}|{start_char}"
    return f"{kind}-{hashlib.sha256(place.encode()).hexdigest()[:12]}"


def apply_redaction(transcript: Transcript, spans: Iterable[RedactionSpan]) -> Transcript:
    """The transcript with a typed placeholder, in text and words, for each of ``spans``.

    ``spans`` must come from this very transcript. Raises ValueError for one that lies outside it.
    """
    by_line: dict[int, list[TextSpan]] = {}
    for span in spans:
        if span.line is None:
            continue
        if not 0 <= span.line < len(transcript.lines) or span.end_char > len(
            transcript.lines[span.line].text
        ):
            raise ValueError(f"span {span.id} lies outside the transcript")
        part = TextSpan(span.kind, span.start_char, span.end_char, span.confidence, span.why)
        by_line.setdefault(span.line, []).append(part)
    lines = tuple(
        _hidden(line, merged(by_line[number])) if number in by_line else line
        for number, line in enumerate(transcript.lines)
    )
    return replace(transcript, lines=lines)


def _hidden(line: Line, spans: Sequence[TextSpan]) -> Line:
    text, at = "", 0
    for span in spans:
        text += line.text[at : span.start] + PLACEHOLDERS[span.kind]
        at = span.end
    return replace(line, text=text + line.text[at:], words=tuple(_hidden_words(line, spans)))


def _hidden_words(line: Line, spans: Sequence[TextSpan]) -> Iterator[Word]:
    """One word for each span; a word that a span only cuts is hidden whole, as its sound is."""
    places = words_of_text(line)
    covers = [_words_under(places, span) for span in spans]
    number = 0
    while number < len(line.words):
        held = [index for index, (first, last) in enumerate(covers) if first <= number < last]
        if not held:
            yield line.words[number]
            number += 1
            continue
        end = max(covers[index][1] for index in held)
        kinds = [spans[index].kind for index in held]
        for index, (first, last) in enumerate(covers):
            if index not in held and first < end and last > number:
                kinds.append(spans[index].kind)
                end = max(end, last)
        words = line.words[number:end]
        text = "".join(PLACEHOLDERS[kind] for kind in kinds)
        yield Word(text, words[0].start_s, words[-1].end_s, min(word.probability for word in words))
        number = end


def said_s(line: Line, start: int, end: int) -> tuple[float, float]:
    """When characters ``start`` to ``end`` of a line were said; the whole line where it has no words.

    An edge whose word the recogniser was unsure of, or gave no length, moves out to the neighbouring word's.
    """
    if not line.words:
        return line.start_s, line.end_s
    first, last = _words_under(words_of_text(line), TextSpan("name", start, end, 0.0, ""))
    if first >= last:
        return line.start_s, line.end_s
    words = line.words[first:last]
    start_s = min(word.start_s for word in words)
    end_s = max(word.end_s for word in words)
    if _is_vague(words[0]):
        start_s = min(start_s, line.words[first - 1].end_s if first else line.start_s)
    if _is_vague(words[-1]):
        end_s = max(end_s, line.words[last].start_s if last < len(line.words) else line.end_s)
    return start_s, end_s


def _is_vague(word: Word) -> bool:
    return word.probability < _SURE or word.end_s - word.start_s < _SHORTEST_WORD_S


def _words_under(places: Sequence[tuple[int, int]], span: TextSpan) -> tuple[int, int]:
    """Numbers of the first word under a span and of the one after the last."""
    under = [place for place in places[span.start : span.end] if place[0] < place[1]]
    if not under:
        return 0, 0
    return min(first for first, _ in under), max(last for _, last in under)


def words_of_text(line: Line) -> list[tuple[int, int]]:
    """For each character of the text the words (first, one after the last) it may belong to.

    Text and words differ where punctuation was set or spelling was made uniform: there a character belongs to all
    words between those that agree.
    """
    said = [(character, number) for number, word in enumerate(line.words) for character in word.text]
    spoken = [(character, number) for character, number in said if not character.isspace()]
    written = [(place, character) for place, character in enumerate(line.text) if not character.isspace()]
    places = [(0, 0)] * len(line.text)
    matcher = SequenceMatcher(None, [c for _, c in written], [c for c, _ in spoken], autojunk=False)
    for _tag, from_text, to_text, from_word, to_word in matcher.get_opcodes():
        if _tag == "equal":
            for offset in range(to_text - from_text):
                number = spoken[from_word + offset][1]
                places[written[from_text + offset][0]] = (number, number + 1)
        elif from_word < to_word:
            first, last = spoken[from_word][1], spoken[to_word - 1][1] + 1
            for place, _ in written[from_text:to_text]:
                places[place] = (first, last)
    return places


@dataclass(frozen=True)
class _Passage:
    """Lines read as one text, one a row; ``starts`` are the places where they begin in it."""

    lines: tuple[tuple[int, Line], ...]
    starts: tuple[int, ...]

    @property
    def text(self) -> str:
        return "\n".join(line.text for _, line in self.lines)

    def pieces(self, span: TextSpan) -> Iterator[tuple[int, TextSpan]]:
        """The parts of a span by line; what another says meanwhile (嗯, 您说) is no part of it."""
        row = bisect_right(self.starts, span.start) - 1
        while row < len(self.starts) and self.starts[row] < span.end:
            number, line = self.lines[row]
            start = max(0, span.start - self.starts[row])
            end = min(len(line.text), span.end - self.starts[row])
            part = line.text[start:end]
            if part and not _ONLY_FILLERS.fullmatch(part):
                start += len(part) - len(_LEADING.sub("", part))
                end -= len(part) - len(_TRAILING.sub("", part))
                yield number, replace(span, start=start, end=end)
            row += 1


def _passages(lines: Sequence[Line]) -> Iterator[_Passage]:
    """Each speaker's own lines and the whole conversation, parted where nobody spoke for long."""
    order = sorted(enumerate(lines), key=lambda numbered: (numbered[1].start_s, numbered[0]))
    yield from _parted(order)
    for role in dict.fromkeys(line.role for line in lines):
        yield from _parted([each for each in order if each[1].role == role])


def _parted(order: Sequence[tuple[int, Line]]) -> Iterator[_Passage]:
    rows: list[tuple[int, Line]] = []
    for number, line in order:
        if rows and line.start_s - rows[-1][1].end_s > _PAUSE_S:
            yield _passage(rows)
            rows = []
        rows.append((number, line))
    if rows:
        yield _passage(rows)


def _passage(rows: Sequence[tuple[int, Line]]) -> _Passage:
    starts, at = [], 0
    for _, line in rows:
        starts.append(at)
        at += len(line.text) + 1
    return _Passage(tuple(rows), tuple(starts))
