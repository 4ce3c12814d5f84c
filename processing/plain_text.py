"""The transcript as plain text, for reading and for printing."""

from __future__ import annotations

from collections.abc import Mapping

from processing.transcript import SPEAKERS, UNSURE, Transcript, speaker_name


def to_text(transcript: Transcript, names: Mapping[str, str] = SPEAKERS) -> str:
    """One row a line: ``[00:01:02] 患者：…``, or ``[00:01:02] 患者（？）：…`` where the recogniser was unsure."""
    rows = []
    for line in transcript.lines:
        minutes, seconds = divmod(int(line.start_s), 60)
        clock = f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds:02d}"
        mark = UNSURE if line.low_confidence else ""
        rows.append(f"[{clock}] {_one_row(speaker_name(line.role, names))}{mark}：{_one_row(line.text)}\n")
    return "".join(rows)


def _one_row(text: str) -> str:
    return " ".join(text.split())
