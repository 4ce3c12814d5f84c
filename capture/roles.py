"""Who sits at which microphone: each person says a word when asked, and the microphones tell whether they are mixed up.

Only this is evidence for swapped roles: who speaks in a consultation, and how much, proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations
from typing import Literal

import numpy as np

from capture.meter import FRAME_S, Floats, Meter

SPOKEN_S = 1.0
OVER_FLOOR_DB = 12.0
SURE_DB = 6.0
# Nobody can be asked to speak into the microphone of the room.
ASKED = ("expert", "patient", "trainee")
MOST = 6  # people; their orders are tried one by one

Answer = Literal["waiting", "ok", "swapped", "unsure"]


@dataclass(frozen=True)
class RoleResult:
    """``heard_by``: microphone of the person asked -> the microphone that this voice belongs to."""

    answer: Answer
    heard_by: dict[str, str]

    @property
    def swapped(self) -> tuple[str, ...]:
        """The microphones that are in the wrong place."""
        if self.answer != "swapped":
            return ()
        return tuple(asked for asked, heard in self.heard_by.items() if asked != heard)


class RoleCheck:
    """Ask who belongs to :attr:`asked` to say their name, and :meth:`feed` every microphone until it is None.

    The answer compares all voices at all microphones, so that one set to a higher gain than the other wins nothing:
    of all ways to place the people, the one with the loudest sum (in dB) counts, if it leads by 6 dB.
    """

    def __init__(self, roles: Mapping[str, str]) -> None:
        self._names = [name for name, role in roles.items() if role in ASKED][:MOST]
        self._heard_db: list[list[float]] = []
        self._listen_anew()

    @property
    def asked(self) -> str | None:
        """The microphone whose person is to speak now; None when all have spoken."""
        done = len(self._heard_db)
        return self._names[done] if done < len(self._names) else None

    def feed(self, name: str, samples: Floats, rate_hz: int) -> None:
        """Samples (n,), -1..1, of any microphone; the next person is asked once this one was heard for a second."""
        if self.asked is None or name not in self._meters:
            return
        self._meters[name].feed(samples, rate_hz)
        if all(meter.frames for meter in self._meters.values()):
            self._hear()

    def restart(self) -> None:
        """Start over with the first."""
        self._heard_db.clear()
        self._listen_anew()

    def result(self) -> RoleResult:
        if len(self._names) < 2 or self.asked is not None:
            return RoleResult("waiting" if self.asked is not None else "ok", {})
        levels = np.array(self._heard_db)
        rows = np.arange(len(self._names))
        orders = sorted(
            permutations(range(len(self._names))), key=lambda order: -float(levels[rows, list(order)].sum())
        )
        best, second = (float(levels[rows, list(order)].sum()) for order in orders[:2])
        heard_by = {self._names[row]: self._names[column] for row, column in enumerate(orders[0])}
        if best - second < SURE_DB:
            return RoleResult("unsure", heard_by)
        return RoleResult("ok" if orders[0] == tuple(rows) else "swapped", heard_by)

    def _listen_anew(self) -> None:
        self._meters = {name: Meter() for name in self._names}

    def _hear(self) -> None:
        count = min(meter.frames for meter in self._meters.values())
        levels = np.array([meter.speech_db[-count:] for meter in self._meters.values()])
        floors = np.array([[np.percentile(row, 10)] for row in levels])
        spoken = (levels > floors + OVER_FLOOR_DB).any(axis=0)
        if np.count_nonzero(spoken) * FRAME_S >= SPOKEN_S:
            power = np.mean(10 ** (levels[:, spoken] / 10), axis=1)
            self._heard_db.append([float(each) for each in 10 * np.log10(power + 1e-14)])
            self._listen_anew()
