"""What happened while a case was recorded, for those who edit and check it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from api import actions
from api.core import Core
from api.messages import Messages
from archive.models import Case, RecordingNote, User

# Anything else a station notes says nothing to whoever looks at the picture.
SHOWN = frozenset(
    {"chapter", "pause", "paper", "gap", "override", "light", "sound", "clock", "withdrawal", "end"}
)


@dataclass(frozen=True)
class Line:
    at_s: float
    kind: str
    text: str


def shown_notes(core: Core, actor: User, case: Case, words: Messages) -> list[Line]:
    """The notes in words, in order of time; of each device's clock only the last, which knows the most."""
    notes = [note for note in actions.case_notes(core, actor, case.id) if note.kind in SHOWN]
    newest = {_of_clock(note): note.id for note in notes if note.kind == "clock"}
    return [
        Line(note.at_s, note.kind, _text(note, words))
        for note in notes
        if note.kind != "clock" or newest[_of_clock(note)] == note.id
    ]


def _of_clock(note: RecordingNote) -> tuple[str, str]:
    return note.recording_id, str(note.data.get("track"))


def _text(note: RecordingNote, words: Messages) -> str:
    data: dict[str, Any] = note.data
    match note.kind:
        case "chapter":
            return words.text("notes.chapter", chapter=words.text(f"station.chapter.{data.get('chapter')}"))
        case "pause" | "paper":
            return words.text(f"notes.{note.kind}.{'on' if data.get('on') else 'off'}")
        case "gap":
            length_s = _number(data.get("to_s")) - _number(data.get("from_s"))
            reason = words.text(f"notes.gap.{data.get('reason')}")
            return words.text("notes.gap", track=data.get("track"), seconds=f"{length_s:.1f}", reason=reason)
        case "override":
            doubts = words.text("app.comma").join(
                words.text(f"station.doubt.{doubt}") for doubt in data.get("doubts", ())
            )
            return words.text("notes.override", doubts=doubts, reason=data.get("reason"))
        case "light":
            return words.text("notes.light", verdict=words.text(f"light.verdict.{data.get('verdict')}"))
        case "sound":
            alarm = words.text(f"sound.verdict.{data.get('alarm')}")
            return words.text("notes.sound", microphone=data.get("microphone"), alarm=alarm)
        case "clock":
            ppm = _number(data.get("drift_ppm"))
            ms_an_hour = f"{3.6 * ppm:+.0f}"
            return words.text("notes.clock", track=data.get("track"), ppm=f"{ppm:+.1f}", ms=ms_an_hour)
        case "end":
            return words.text(f"notes.end.{data.get('why')}")
    return words.text(f"notes.{note.kind}")


def _number(told: Any) -> float:
    """What a station sends is plain data of any kind."""
    return float(told) if isinstance(told, int | float) else 0.0
