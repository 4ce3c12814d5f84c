"""The words of Chinese medicine: what the recogniser is told to expect and suggestions are made from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import yaml

from config.errors import SettingsInvalid
from processing.syllables import Syllable, syllable

LEXICON = Path(__file__).parents[1] / "config" / "lexicon.yaml"
_OPENING, _CLOSING = "以下是中医带教门诊的对话，会提到", "。"

Heard = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Term:
    """A standard name with one syllable a character; ``kind`` is its group in the file ('herb', 'formula', ...)."""

    text: str
    kind: str
    syllables: tuple[Syllable, ...]

    @property
    def heard(self) -> Heard:
        return tuple(one.heard for one in self.syllables)


@dataclass(frozen=True)
class Lexicon:
    """``terms`` in the order of the file, in which each kind begins with what is spoken most.

    ``names`` and ``cues`` by kind: its Chinese name, and what stands near its terms when they are meant.
    ``everyday_words`` and ``everyday_characters`` are said in any conversation.
    """

    terms: tuple[Term, ...]
    names: Mapping[str, str]
    cues: Mapping[str, tuple[str, ...]]
    everyday_words: frozenset[str]
    everyday_characters: frozenset[str]

    @cached_property
    def by_text(self) -> Mapping[str, Term]:
        return {term.text: term for term in self.terms}

    @cached_property
    def longest(self) -> int:
        """Characters of the longest term."""
        return max(map(len, self.by_text))

    @cached_property
    def by_sound(self) -> Mapping[Heard, tuple[Term, ...]]:
        """The terms that sound alike, by their folded syllables."""
        found: dict[Heard, tuple[Term, ...]] = {}
        for term in self.terms:
            found[term.heard] = (*found.get(term.heard, ()), term)
        return found

    @cached_property
    def lengths_by_onset(self) -> Mapping[Heard, tuple[int, ...]]:
        """How long the terms are that begin with these two folded syllables."""
        found: dict[Heard, set[int]] = {}
        for heard in self.by_sound:
            found.setdefault(heard[:2], set()).add(len(heard))
        return {onset: tuple(sorted(lengths)) for onset, lengths in found.items()}

    def prompt(self, limit_characters: int) -> str:
        """A punctuated sentence for Whisper's initial prompt, of all kinds alike; empty if too little fits.

        Whisper keeps the last 223 tokens of a prompt, and a Chinese character takes one to three.
        """
        chosen: dict[str, list[str]] = {}
        sentence = ""
        for term in self._most_spoken():
            chosen.setdefault(term.kind, []).append(term.text)
            longer = self._sentence(chosen)
            if len(longer) > limit_characters:
                break
            sentence = longer
        return sentence

    def hotwords(self, limit: int) -> str:
        """The ``limit`` most spoken terms of all kinds alike, parted by blanks, as faster-whisper takes them."""
        return " ".join(term.text for term, _ in zip(self._most_spoken(), range(limit), strict=False))

    def _most_spoken(self) -> Iterator[Term]:
        """The first of each kind, then the second of each, and so on."""
        kinds = [[term for term in self.terms if term.kind == kind] for kind in self.names]
        return (term for term in chain.from_iterable(zip_longest(*kinds)) if term)

    def _sentence(self, chosen: Mapping[str, list[str]]) -> str:
        groups = (self.names[kind] + "、".join(texts) for kind, texts in chosen.items())
        return _OPENING + "，".join(groups) + _CLOSING


def load_lexicon(path: Path | None = None) -> Lexicon:
    """The lexicon in ``path``, or the one that comes with Yian.

    Raises SettingsInvalid, which names the file and the entry, for a file that is missing, is not YAML, has another
    shape, holds a term twice, or gives a term other than one syllable a character.
    """
    path = path or LEXICON
    try:
        # The C loader reads the file in a tenth of the time.
        raw = yaml.load(path.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return _lexicon(raw)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, _Malformed) as error:
        raise SettingsInvalid(problem=f"lexicon {path}: {error}") from error


class _Malformed(ValueError):
    """What is wrong with which entry of the file."""


def _lexicon(raw: object) -> Lexicon:
    groups = dict(_mapping(raw, "the file"))
    everyday = _mapping(groups.pop("everyday", None), "everyday")
    terms: dict[str, Term] = {}
    names: dict[str, str] = {}
    cues: dict[str, tuple[str, ...]] = {}
    for kind, value in groups.items():
        group = _mapping(value, kind)
        names[kind] = _text(group.get("name"), f"{kind}.name")
        cues[kind] = tuple(_texts(group.get("cues"), f"{kind}.cues"))
        for entry in _texts(group.get("terms"), f"{kind}.terms"):
            term = _term(entry, kind)
            if term.text in terms:
                raise _Malformed(f"{term.text} stands twice, under {terms[term.text].kind} and {kind}")
            terms[term.text] = term
    if not terms:
        raise _Malformed("no terms")
    words = " ".join(_texts(everyday.get("words"), "everyday.words")).split()
    characters = _text(everyday.get("characters"), "everyday.characters")
    return Lexicon(tuple(terms.values()), names, cues, frozenset(words), frozenset(characters))


def _term(entry: str, kind: str) -> Term:
    text, *marked = entry.split()
    syllables = tuple(found for one in marked if (found := syllable(one)))
    if not len(text) == len(marked) == len(syllables) >= 2:
        raise _Malformed(
            f"{kind}: {entry!r} is not a term of two or more characters with a syllable for each"
        )
    return Term(text, kind, syllables)


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise _Malformed(f"{where} is no mapping of names")
    return value


def _texts(value: object, where: str) -> list[str]:
    if not isinstance(value, list):
        raise _Malformed(f"{where} is no list")
    return [_text(one, where) for one in value]


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _Malformed(f"{where}: {value!r} is no text")
    return value
