"""What the journal of a station holds, as plain data."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

State = Literal["waiting", "refused", "withdrawn", "complete", "empty", "erased"]
"""``waiting``: for the core to have all of it. ``refused``: the core does not want it (consent); ``withdrawn``: the
patient took the consent back here. Both are kept sealed and nothing of them is sent. ``empty``: nothing was recorded.
``erased``: a manager decided so at the core, and nothing of it is left here."""


@dataclass(frozen=True)
class Note:
    """Something that happened in a session, ``at_s`` seconds after it began: gap, chapter, pause, light, sound, ..."""

    kind: str
    at_s: float
    data: dict[str, Any]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)


@dataclass(frozen=True)
class Session:
    """One session by its local id. ``recording``: the core's id, once known; ``closed``: nothing more is recorded."""

    local: str
    consultation: str
    kind: str
    started_at: str
    tracks: dict[str, dict[str, str]]
    rig: dict[str, Any]
    light: dict[str, Any] | None
    recording: str | None
    case: str | None
    state: State
    problem: dict[str, Any] | None
    closed: bool
    folder: Path


@dataclass(frozen=True)
class Kept:
    """One sealed segment. ``sha256`` and ``size`` are of what was recorded, ``sealed_*`` of the file at ``path``.
    ``start_s`` and ``duration_s`` in seconds on the session's clock."""

    track: str
    index: int
    path: Path
    sha256: str
    size: int
    sealed_sha256: str
    sealed_size: int
    start_s: float
    duration_s: float

    @property
    def name(self) -> str:
        return f"{self.track}/{self.index}"


@dataclass(frozen=True)
class Interrupted:
    """A session whose station died: somebody has to say whether it goes on or is closed. ``seconds``: its last one;
    ``paused``: it died in a privacy pause."""

    local: str
    consultation: str
    kind: str
    started_at: str
    seconds: float
    segments: int
    paused: bool


@dataclass(frozen=True)
class Held:
    """A session that is kept here and not sent, and why: ``problem`` is an error as plain data."""

    local: str
    consultation: str
    state: State
    problem: dict[str, Any] | None


@dataclass(frozen=True)
class Queue:
    """What waits for the core: segments and their bytes, the age of the oldest session among them in seconds, how many
    sessions the core refuses, and those."""

    count: int
    bytes: int
    oldest_s: float
    refused: int
    held: tuple[Held, ...]


@dataclass(frozen=True)
class Withdrawal:
    """A consent taken back at the station, for the core to hear of."""

    consultation: str
    reason: str
    at: str


@dataclass(frozen=True)
class Erasure:
    """So many sessions of a consultation were erased here, for the core to hear of."""

    consultation: str
    sessions: int
    at: str
