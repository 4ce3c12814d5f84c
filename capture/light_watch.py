"""When the light is looked at, and what was seen: before every half-day, and every ten minutes while recording."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capture.light_advice import advice
from capture.light_lock import is_locked
from capture.lighting import check_light
from capture.rig import Rig
from config.errors import NotFound
from config.settings import Settings

EVERY_S = 600.0
# After a check that could not tell, or failed: somebody may be at the lamps now.
AGAIN_S = 60.0
# For a camera that was just opened to show something: without, the first check could only say that it saw nothing.
FIRST_PICTURE_S = 15.0
# Noon divides the day of a clinic.
NOON = 12
TREND = 36


class LightWatch:
    """The checks of one station. Safe to use from several threads."""

    def __init__(
        self,
        rig: Rig,
        settings: Settings,
        frames: Callable[[str], NDArray[np.uint8] | None],
    ) -> None:
        self._light, self._settings, self._frames = rig.light, settings, frames
        named = rig.light.camera if rig.light else ""
        self._camera = next((each for each in rig.camera if each.name == named), None)
        self._lock = threading.Lock()
        self._checks: deque[dict[str, Any]] = deque(maxlen=TREND)
        self._half_day: tuple[dt.date, bool] | None = None
        self._due = 0.0
        self._begun = time.monotonic()

    @property
    def newest(self) -> dict[str, Any] | None:
        """The last check, unless it is of another half-day."""
        with self._lock:
            return self._checks[-1] if self._checks and self._half_day == self._now() else None

    def trend(self) -> list[dict[str, Any]]:
        """Time, lux and CCT of the last checks, oldest first."""
        with self._lock:
            return [
                {
                    "at": check["checked_at"],
                    "verdict": check["verdict"],
                    "lux": check["illuminance"]["value"],
                    "cct_k": check["cct"]["value"],
                }
                for check in self._checks
            ]

    def is_due(self, state: str) -> bool:
        """Whether to look now. Never while paused: nothing is seen then."""
        if self._light is None or state == "paused" or self._is_opening():
            return False
        with self._lock:
            return self._half_day != self._now() or (time.monotonic() >= self._due)

    def _is_opening(self) -> bool:
        if self._camera is None or time.monotonic() - self._begun > FIRST_PICTURE_S:
            return False
        return self._frames(self._camera.name) is None

    def check(self, at_s: float | None) -> dict[str, Any]:
        """Measure now; ``at_s`` is the second of the session. Raises DeviceFailed, and NotFound without a light in the rig."""
        if self._light is None:
            raise NotFound(what="light", id="rig.toml")
        frames = self._frames(self._camera.name) if self._camera else None
        locked = is_locked(self._camera) if self._camera else None
        checked = check_light(frames, self._light, self._settings.capture, locked=locked)
        found = checked.to_dict() | {"advice": advice(checked), "at_s": at_s}
        with self._lock:
            self._checks.append(found)
            self._half_day = self._now()
            self._due = time.monotonic() + (EVERY_S if found["verdict"] == "pass" else AGAIN_S)
        return found

    def _now(self) -> tuple[dt.date, bool]:
        local = dt.datetime.now(self._settings.zone)
        return local.date(), local.hour >= NOON
