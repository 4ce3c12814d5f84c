"""RTTM: who speaks when, in the form that diarization tools compare."""

from __future__ import annotations

import re
from collections.abc import Sequence

from processing.transcript import Turn


def to_rttm(turns: Sequence[Turn], file_id: str) -> str:
    """NIST RTTM, one SPEAKER line a turn; blanks in names become underscores, for blanks separate fields."""
    name = _field(file_id)
    rows = [
        f"SPEAKER {name} 1 {turn.start_s:.3f} {turn.end_s - turn.start_s:.3f} <NA> <NA> {_field(turn.role)} <NA> <NA>\n"
        for turn in sorted(turns, key=lambda turn: (turn.start_s, turn.end_s))
    ]
    return "".join(rows)


def _field(name: str) -> str:
    return re.sub(r"\s+", "_", name) or "unnamed"
