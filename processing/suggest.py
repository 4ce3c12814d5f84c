"""What the recogniser may have misheard: terms of the lexicon that sound like what it wrote.

Nothing is replaced: a reviewer sees each suggestion beside what was recognised.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from math import exp

from pypinyin.phrases_dict import phrases_dict

from processing.lexicon import Lexicon, Term
from processing.syllables import Syllable, read_aloud
from processing.transcript import Suggestion, Word

SURE_ENOUGH = 0.5
# Evidence in natural log odds, summed as if independent (naive Bayes), set by hand on generated errors and ordinary
# talk. Ordinary talk sounds like some two-syllable term every few dozen characters but hardly ever like a longer one,
# so each syllable counts; beyond five nothing is left to doubt.
_PRIOR, _SYLLABLE, _MOST_SYLLABLES = -5.5, 2.0, 5.0
_SAME_CHARACTER, _SAME_TONE, _OTHER_TONE, _CONFUSABLE = 0.8, 1.0, -0.5, -1.2
_EVERYDAY_WORD, _EVERYDAY_CHARACTER = -2.0, -1.2
_CUE, _CUE_CHARACTERS = 2.0, 10
# A recogniser that is surer than this speaks against the suggestion.
_DOUBT, _USUAL_PROBABILITY = 3.0, 0.75
# A part that is itself a term (the herb in a formula's name) was heard right and proves little.
_TERM_WITHIN = 0.5
_LONGEST_WORD = 5


@dataclass(frozen=True, slots=True)
class _Heard:
    """A line by its characters: the syllable and word of each, and what is right as it stands.

    ``terms`` holds (start, end, term) in order of both; ``everyday`` marks the characters of ordinary words.
    """

    text: str
    sounds: Sequence[Syllable | None]
    words: Sequence[Word]
    terms: Sequence[tuple[int, int, Term]]
    everyday: Sequence[bool]


def suggest(words: Sequence[Word], lexicon: Lexicon) -> tuple[Suggestion, ...]:
    """Near-homophones of terms in one line, in the order of the text and never overlapping.

    Positions are in the line's text, the words' texts joined and stripped. Of terms that sound the same (浮脉, 伏脉)
    the one that stands first in the lexicon is offered.
    """
    heard = _listen(words, lexicon)
    found = [
        (odds, -start, term)
        for start, term in _candidates(heard, lexicon)
        if (odds := _log_odds(heard, start, term, lexicon)) >= 0
    ]
    taken: set[int] = set()
    chosen = []
    for odds, negative, term in sorted(found, key=lambda one: one[:2], reverse=True):
        span = range(-negative, -negative + len(term.text))
        if taken.isdisjoint(span):
            taken.update(span)
            chosen.append(_suggestion(heard, span, term, odds))
    return tuple(sorted(chosen, key=lambda suggestion: suggestion.start))


def _listen(words: Sequence[Word], lexicon: Lexicon) -> _Heard:
    characters = [(character, word) for word in words for character in word.text]
    whole = "".join(character for character, _ in characters)
    text = whole.strip()
    first = len(whole) - len(whole.lstrip())
    owners = [word for _, word in characters[first : first + len(text)]]
    return _Heard(text, read_aloud(text), owners, _terms_in(text, lexicon), _everyday(text, lexicon))


def _terms_in(text: str, lexicon: Lexicon) -> list[tuple[int, int, Term]]:
    """Where terms stand already, the longest from each place on."""
    found: list[tuple[int, int, Term]] = []
    for start in range(len(text)):
        for end in range(min(len(text), start + lexicon.longest), start + 1, -1):
            if (term := lexicon.by_text.get(text[start:end])) and not (found and end <= found[-1][1]):
                found.append((start, end, term))
                break
    return found


def _is_ordinary(word: str, lexicon: Lexicon) -> bool:
    return word in lexicon.everyday_words or word in phrases_dict


def _everyday(text: str, lexicon: Lexicon) -> list[bool]:
    """Which characters belong to an ordinary word, by the longest words from the left."""
    marks = [False] * len(text)
    start = 0
    while start < len(text):
        for end in range(min(len(text), start + _LONGEST_WORD), start + 1, -1):
            if _is_ordinary(text[start:end], lexicon):
                marks[start:end] = [True] * (end - start)
                start = end
                break
        else:
            start += 1
    return marks


def _candidates(heard: _Heard, lexicon: Lexicon) -> Iterator[tuple[int, Term]]:
    sounds = [sound.heard if sound else "" for sound in heard.sounds]
    for start in range(len(sounds) - 1):
        for length in lexicon.lengths_by_onset.get(tuple(sounds[start : start + 2]), ()):
            end = start + length
            alike = lexicon.by_sound.get(tuple(sounds[start:end]), ()) if end <= len(sounds) else ()
            if all(start <= a and b <= end and b - a < length for a, b, _ in _touching(heard, start, end)):
                yield from ((start, term) for term in alike)


def _touching(heard: _Heard, start: int, end: int) -> list[tuple[int, int, Term]]:
    """The terms that share a character with ``text[start:end]``."""
    first = bisect_right(heard.terms, start, key=lambda placed: placed[1])
    return list(takewhile(lambda placed: placed[0] < end, islice(heard.terms, first, None)))


def _log_odds(heard: _Heard, start: int, term: Term, lexicon: Lexicon) -> float:
    """How much more likely a misheard ``term`` is at ``start`` than what was recognised, as a natural logarithm."""
    end = start + len(term.text)
    within = {at for a, b, _ in _touching(heard, start, end) for at in range(a, b)}
    syllables = len(term.text) - (1 - _TERM_WITHIN) * len(within)
    odds = _PRIOR + _SYLLABLE * min(syllables, _MOST_SYLLABLES)
    ordinary = _is_ordinary(heard.text[start:end], lexicon)
    changed = [at for at in range(start, end) if heard.text[at] != term.text[at - start]]
    for at in range(start, end):
        if at in changed:
            odds += _likeness(heard.sounds[at], term.syllables[at - start])
            odds += _EVERYDAY_WORD * (ordinary or heard.everyday[at])
            odds += _EVERYDAY_CHARACTER * (heard.text[at] in lexicon.everyday_characters)
        elif at not in within:
            odds += _SAME_CHARACTER
    probability = sum(heard.words[at].probability for at in changed) / len(changed)
    odds += _DOUBT * (_USUAL_PROBABILITY - probability)
    return odds + _CUE * _is_cued(heard, start, end, term.kind, lexicon)


def _likeness(sound: Syllable | None, wanted: Syllable) -> float:
    if sound is None or sound.plain != wanted.plain:
        return _CONFUSABLE
    return _SAME_TONE if sound.tone in (wanted.tone, 0) else _OTHER_TONE


def _is_cued(heard: _Heard, start: int, end: int, kind: str, lexicon: Lexicon) -> bool:
    """A cue of the kind, or another of its terms, stands close by."""
    before, after = max(0, start - _CUE_CHARACTERS), end + _CUE_CHARACTERS
    beside = heard.text[before:start] + "\n" + heard.text[end:after]
    return any(cue in beside for cue in lexicon.cues[kind]) or any(
        term.kind == kind and (b <= start or end <= a) for a, b, term in _touching(heard, before, after)
    )


def _suggestion(heard: _Heard, span: range, term: Term, odds: float) -> Suggestion:
    first, last = heard.words[span.start], heard.words[span.stop - 1]
    return Suggestion(
        span.start,
        span.stop,
        heard.text[span.start : span.stop],
        term.text,
        term.kind,
        first.start_s,
        last.end_s,
        round(1 / (1 + exp(-odds)), 3),
    )
