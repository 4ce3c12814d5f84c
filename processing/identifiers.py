"""What in a text identifies the patient or a relative: the one door to all the finders."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import lru_cache

from processing.addresses import find_addresses
from processing.birthdates import find_birth_dates
from processing.handles import find_handles
from processing.introduced import find_introduced, find_spelled
from processing.names import RegisteredName, find_names
from processing.numbers import find_numbers
from processing.spoken import fold
from processing.textspan import TextSpan, merged
from processing.wordings import find_by_wording


def find_identifiers(
    text: str, names: Sequence[RegisteredName] = (), terms: Collection[str] = ()
) -> list[TextSpan]:
    """Spans of ``text`` that identify somebody, in order and without overlap.

    ``text`` may be written or spoken (digits one by one, 幺 for 1, fillers), of any width, with or without
    punctuation. ``terms`` are the words of medicine that a name's sound must not be found in. In doubt a span is
    reported: a reviewer can undo it, and nobody can call back what was published.
    """
    folded, words = fold(text), _folded(frozenset(terms))
    return merged([*find_by_rules(folded, names, words), *find_by_wording(folded, names, words)])


def find_by_rules(
    folded: str, names: Sequence[RegisteredName] = (), words: Collection[str] = ()
) -> list[TextSpan]:
    """What is known for an identifier by its form and by what announces it; ``words`` are folded ``terms``."""
    called = [*find_names(folded, names, words), *find_introduced(folded, words)]
    said = [fold(name.text) for name in names] + [folded[span.start : span.end] for span in called]
    return merged(
        [
            *find_numbers(folded),
            *find_handles(folded),
            *find_birth_dates(folded, called),
            *find_addresses(folded),
            *called,
            *find_spelled(folded, said),
        ]
    )


@lru_cache(maxsize=4)
def _folded(terms: frozenset[str]) -> frozenset[str]:
    return frozenset(fold(term) for term in terms)
