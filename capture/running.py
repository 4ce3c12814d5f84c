"""The session that is being recorded now."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from capture.entries import Note
from capture.today import Visit

Chapter = Literal["look", "listen", "ask", "pulse", "explain", "questions", "technique"]
CHAPTERS: tuple[Chapter, ...] = ("look", "listen", "ask", "pulse", "explain", "questions", "technique")


@dataclass
class Running:
    """What is being recorded. ``zero`` is the monotonic time of its second 0."""

    local: str
    visit: Visit
    zero: float
    planned_s: float
    paused_since_s: float | None = None
    paper_since_s: float | None = None
    chapters: list[dict[str, Any]] = field(default_factory=list)

    @property
    def at_s(self) -> float:
        return round(time.monotonic() - self.zero, 3)

    def recall(self, notes: Iterable[Note]) -> None:
        """Take up what was so when the station died, from the session's ``notes`` in their order: a privacy pause above
        all, which only a person ends."""
        for note in notes:
            match note.kind:
                case "pause":
                    self.paused_since_s = note.at_s if note.data["on"] else None
                case "paper":
                    self.paper_since_s = note.at_s if note.data["on"] else None
                case "chapter":
                    self.chapters.append({"at_s": note.at_s, "chapter": note.data["chapter"]})

    def told(self) -> dict[str, Any]:
        """As a page shows it."""
        return {
            "local": self.local,
            "consultation": self.visit.id,
            "at_s": self.at_s,
            "planned_s": self.planned_s,
            "paused": self.paused_since_s is not None,
            "paper": self.paper_since_s is not None,
            "chapters": list(self.chapters),
        }
