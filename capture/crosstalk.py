"""Whether a microphone hears what its neighbours hear: how a dead one is told from one nobody speaks into.

A live microphone in a room hears every voice in it, if only faintly. For a pair of microphones X and M the difference
M - X of their levels is high while M's own talker speaks and low while X's does. The lowest that was heard is what M
owes whenever X hears speech, whoever speaks; where that lies below M's own noise, M owes nothing. Until both ends of the
difference were heard (or one that cannot be M's own talker), M owes only a voice 35 dB weaker than X's: more than a
headset across a desk loses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from capture.meter import Meter

WINDOW = 20  # frames, 2 s
ACTIVE_OVER_FLOOR_DB = 10.0
ACTIVE_FRAMES = 8
UNLEARNED_DB = -35.0
# A pair has heard two talkers, or surely X's own.
TWO_TALKERS_DB = 8.0
SURELY_X_DB = -3.0
PLATEAU_DB = 4.0
SHORTFALL_DB = 8.0  # and nothing of X's speech in it
STEADY_SHORTFALL_DB = 4.0  # and not a sign of speech of any kind
DROP_DB = 20.0  # though X's speech is in it: turned down, covered, moved away
FLOOR_DROP_DB = 6.0
OBSERVABLE_DB = 3.0  # above M's own noise
_KEPT = 240
_ENOUGH = 8
_LOWEST = 3  # the fourth lowest stands for the lowest
_DOUBT = 6  # windows that wait before they are learned from, lest a dying microphone teach

Finding = Literal["alive", "dead", "faint", "unknown"]
Levels = NDArray[np.float64]


@dataclass(frozen=True)
class Heard:
    """The last two seconds of one microphone. ``active`` marks the frames with speech; ``voiced`` says that it is a
    voice and no rubbing or crackling."""

    levels_db: Levels
    active: NDArray[np.bool_]
    voiced: bool
    floor_db: float
    least_db: float  # of the minute before

    @property
    def speaks(self) -> bool:
        return int(self.active.sum()) >= ACTIVE_FRAMES

    @property
    def spread_db(self) -> float:
        low, high = np.nanpercentile(self.levels_db, (10, 90))
        return float(high - low)


def listen(meter: Meter, tick: int) -> Heard | None:
    """The window that ends at ``tick``; None while it has gaps or the meter has not come so far."""
    late = meter.tick - tick
    if late < 0 or late > WINDOW or meter.frames < WINDOW:
        return None
    end = len(meter.speech_db) - late
    window = slice(end - WINDOW, end)
    levels = meter.speech_db[window]
    if np.isnan(levels).any():
        return None
    floor_db = meter.floor_db
    active = (levels > floor_db + ACTIVE_OVER_FLOOR_DB) & ~meter.impulse[window]
    voiced = int((meter.voiced[window] & active).sum())
    before = meter.speech_db[: window.start]
    least_db = float(np.nanmin(before)) if not np.isnan(before).all() else floor_db
    return Heard(levels.copy(), active, voiced >= max(3, 0.2 * active.sum()), floor_db, least_db)


class Crosstalk:
    """What M was heard to hear of X. :meth:`judge` at every half second."""

    def __init__(self) -> None:
        self._x_db = np.full(_KEPT, np.nan)
        self._difference_db = np.full(_KEPT, np.nan)
        self._observed = np.zeros(_KEPT, dtype=bool)
        self._doubted: list[tuple[float, float, bool]] = []

    def judge(self, x: Heard, m: Heard) -> Finding:
        """``x.speaks`` is given. "unknown" is the answer when M need not hear X."""
        x_db, m_db = _mean_db(x.levels_db[x.active]), _mean_db(m.levels_db[x.active])
        owed_db, sure = self._owed_db(x_db)
        surely_owed_db = owed_db if sure else min(owed_db, x_db + UNLEARNED_DB)
        finding = _compare(x, m, m_db, owed_db, surely_owed_db)
        if finding in ("dead", "faint"):
            self._doubted.clear()
        else:
            self._doubted.append((x_db, m_db - x_db, m_db > m.floor_db + OBSERVABLE_DB))
            if len(self._doubted) > _DOUBT:
                self._learn(*self._doubted.pop(0))
        return finding

    def _learn(self, x_db: float, difference_db: float, observed: bool) -> None:
        rows = (self._x_db, self._difference_db, self._observed)
        for row, value in zip(rows, (x_db, difference_db, observed), strict=True):
            row[:-1] = row[1:]
            row[-1] = value

    def _owed_db(self, x_db: float) -> tuple[float, bool]:
        """The level M must have when X has ``x_db``, and whether X's own talker was surely heard in M."""
        known = ~np.isnan(self._x_db)
        if np.count_nonzero(known) < _ENOUGH:
            return x_db + UNLEARNED_DB, False
        order = np.argsort(np.where(known, self._difference_db, np.inf))[: np.count_nonzero(known)]
        ordered = self._difference_db[order]
        lowest, highest = ordered[_LOWEST], np.percentile(ordered, 95)
        # Windows in which one talker follows the other scatter; those of one talker lie close together.
        scattered = ordered[_LOWEST + 2] - ordered[_LOWEST - 2] > PLATEAU_DB
        # M's own noise hid X: the true difference is lower still.
        hidden = np.count_nonzero(self._observed[order[: 2 * _LOWEST]]) <= _LOWEST
        only_m_s = lowest > SURELY_X_DB and highest - lowest < TWO_TALKERS_DB
        if scattered or hidden or only_m_s:
            return x_db + UNLEARNED_DB, False
        # Somebody who leans towards X's microphone gets no louder in M's.
        owed_db = min(x_db, np.percentile(self._x_db[known], 90)) + lowest
        return float(owed_db), bool(lowest <= SURELY_X_DB)


def _compare(x: Heard, m: Heard, m_db: float, owed_db: float, surely_owed_db: float) -> Finding:
    shortfall_db = owed_db - m_db
    hears_x = _alike(x.levels_db, m.levels_db)
    # Also where nothing was learned: no live microphone is so deaf and still follows X.
    if hears_x and surely_owed_db - m_db > DROP_DB:
        return "faint"
    if hears_x or (m.speaks and m.voiced):
        return "alive"
    steady = m.spread_db < 2.5 and x.spread_db > 6
    if shortfall_db > SHORTFALL_DB or (steady and shortfall_db > STEADY_SHORTFALL_DB):
        return "dead"
    # The room's own noise cannot leave one microphone and stay in its neighbour.
    if steady and m_db < m.least_db - FLOOR_DROP_DB and float(np.median(x.levels_db)) > x.floor_db - 3:
        return "dead"
    return "alive" if shortfall_db < 0 and not steady else "unknown"


def _alike(x_db: Levels, m_db: Levels) -> bool:
    """Whether M rises and falls with X, up to 0.3 s earlier or later (devices buffer differently)."""
    if np.ptp(m_db) < 1.5:
        return False
    best = 0.0
    for lag in range(-3, 4):
        a = x_db[max(0, lag) : len(x_db) + min(0, lag)]
        b = m_db[max(0, -lag) : len(m_db) + min(0, -lag)]
        a, b = a - a.mean(), b - b.mean()
        norm = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
        best = max(best, float((a * b).sum()) / norm if norm > 0 else 0.0)
    return best > 0.7


def _mean_db(levels_db: Levels) -> float:
    return float(10 * np.log10(np.mean(10 ** (levels_db / 10))))
