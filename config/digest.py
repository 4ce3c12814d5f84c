"""One checksum over the facts of a request, so that what a bad line changed is noticed wherever it lies."""

from __future__ import annotations

import hashlib

FACTS_HEADER = "X-Facts-SHA256"
CHANGED = "the request was changed on its way"


def facts_digest(*facts: str) -> str:
    """SHA-256, in hex, of ``facts`` in this order, each with its length."""
    return hashlib.sha256("".join(f"{len(fact)}:{fact}," for fact in facts).encode()).hexdigest()
