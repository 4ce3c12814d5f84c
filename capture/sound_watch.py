"""The sound of one station: its gate, the question of who sits where, and what is alarming that was not before."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capture.rig import Rig
from capture.roles import RoleCheck
from capture.sound import SoundAlarm, SoundGate


class SoundWatch:
    """Safe to use from several threads; :meth:`listen` never waits for a person or the disk."""

    def __init__(self, rig: Rig) -> None:
        self._roles: dict[str, str] = {each.name: each.role for each in rig.microphone}
        self._gate = SoundGate(self._roles)
        self._lock = threading.Lock()
        self._check: RoleCheck | None = None
        self._known: set[tuple[str, str]] = set()

    def listen(self, name: str, samples: NDArray[np.float32], rate_hz: int) -> None:
        """Samples (n,) of one microphone, in order."""
        self._gate.feed(name, samples, rate_hz)
        with self._lock:
            check = self._check
            if check is None or check.asked is None:
                return
            check.feed(name, samples, rate_hz)
            if check.asked is None:
                self._gate.mark_swapped(check.result().swapped)

    def ask_roles(self) -> None:
        """Begin to ask one person after the other; asking again starts over."""
        with self._lock:
            self._check = RoleCheck(self._roles)

    def end_asking(self) -> None:
        """Nobody is asked any more; what was found stays with the gate."""
        with self._lock:
            self._check = None

    def alarms(self) -> list[SoundAlarm]:
        return self._gate.alarms()

    def new_alarms(self) -> Iterator[SoundAlarm]:
        """Those that have begun since they were asked for last. One whose taker fails comes again."""
        now = {(alarm.name, alarm.code): alarm for alarm in self._gate.alarms()}
        self._known &= now.keys()
        for key in now.keys() - self._known:
            yield now[key]
            self._known.add(key)

    def levels(self) -> dict[str, Any]:
        """By microphone: ``level_dbfs`` and ``verdict``, for the meters; nothing while nothing is heard."""
        return {
            name: {"level_dbfs": state.level_dbfs, "verdict": state.verdict}
            for name, state in self._gate.states().items()
        }

    def told(self) -> dict[str, Any]:
        """As a page shows it: ``sound``, ``sound_alarms`` and ``role_check``."""
        return {
            "sound": {name: each.to_dict() for name, each in self._gate.states().items()},
            "sound_alarms": [
                {"microphone": each.name, "code": each.code, "since": each.since.isoformat()}
                for each in self._gate.alarms()
            ],
            "role_check": self._told_roles(),
        }

    def _told_roles(self) -> dict[str, Any] | None:
        with self._lock:
            if self._check is None:
                return None
            result = self._check.result()
            return {"asked": self._check.asked, "answer": result.answer, "swapped": list(result.swapped)}
