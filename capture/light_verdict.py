"""Verdicts: what each source says about each quantity, against the limits, guard-banded (JCGM 106:2012, 8.3.2)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from config.settings import CaptureSettings

Verdict = Literal["pass", "indeterminate", "fail"]
Source = Literal["camera", "sensor", "spectrum", "certificate", "none"]
# Why a reading got its verdict; the words are in the message catalogue under light.reason.<code>.
Reason = Literal[
    "in_limits", "near_limit", "too_dim", "too_bright", "too_warm", "too_cool", "too_green", "too_pink",
    "poor_rendering", "needs_certificate", "not_measured", "no_picture", "uncalibrated", "no_card", "clipped", "too_dark", "uneven",
    "mixed_light", "unsteady", "not_white", "contradiction", "other_light", "out_of_date", "undated",
    "not_locked", "sensor_silent", "sensor_garbage", "bad_spectrum",
]  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """One judged quantity. ``uncertainty`` is expanded (k = 2), in the unit of ``value``."""

    verdict: Verdict
    reason: Reason
    source: Source
    unit: str
    value: float | None = None
    uncertainty: float | None = None


class Table:
    """What each source says about each quantity, and the limits."""

    UNITS: ClassVar = {"illuminance": "lx", "cct": "K", "duv": "Duv", "cri": "Ra"}

    def __init__(self, limits: CaptureSettings) -> None:
        low, high = (limits.lux_target * (1 + sign * limits.lux_tolerance) for sign in (-1, 1))
        self.limits = {
            "lux_low": low,
            "lux_high": high,
            "lux_target": limits.lux_target,
            "cct_min_k": limits.cct_min_k,
            "cct_max_k": limits.cct_max_k,
            "duv_max": limits.duv_max,
            "cri_min": limits.cri_min,
        }
        self._bounds: dict[str, tuple[float, float, Reason, Reason]] = {
            "illuminance": (low, high, "too_dim", "too_bright"),
            "cct": (limits.cct_min_k, limits.cct_max_k, "too_warm", "too_cool"),
            "duv": (-limits.duv_max, limits.duv_max, "too_pink", "too_green"),
            "cri": (limits.cri_min, math.inf, "poor_rendering", "in_limits"),
        }
        self._measured: dict[str, list[Reading]] = {name: [] for name in self.UNITS}
        self._refused: dict[str, list[Reading]] = {name: [] for name in self.UNITS}
        self._barred: set[str] = set()

    def measured(self, quantity: str, source: Source, value: float, uncertainty: float) -> None:
        """A source's value and its expanded uncertainty, in the quantity's unit."""
        low, high, under, over = self._bounds[quantity]
        verdict: Verdict = "indeterminate"
        reason: Reason = "near_limit"
        if not math.isfinite(value) or not math.isfinite(uncertainty):
            self.refused(quantity, "not_measured", source)
            return
        if low <= value - uncertainty and value + uncertainty <= high:
            verdict, reason = "pass", "in_limits"
        elif value + uncertainty < low:
            verdict, reason = "fail", under
        elif value - uncertainty > high:
            verdict, reason = "fail", over
        unit = self.UNITS[quantity]
        self._measured[quantity].append(Reading(verdict, reason, source, unit, value, uncertainty))

    def refused(
        self,
        quantity: str,
        reason: Reason,
        source: Source,
        value: float | None = None,
        uncertainty: float | None = None,
    ) -> None:
        """Why a source cannot speak for the quantity now; what it says is told all the same."""
        given = Reading("indeterminate", reason, source, self.UNITS[quantity], value, uncertainty)
        self._refused[quantity].append(given)

    def bar(self, quantity: str) -> None:
        """Whatever other sources say, the first refusal stands."""
        self._barred.add(quantity)

    def settle(self, quantity: str) -> Reading:
        """The surest of what was measured, if nothing contradicts it; else why there is no verdict."""
        given, refused = self._measured[quantity], self._refused[quantity]
        if quantity in self._barred or not given:
            if refused:
                return refused[0]
            reason: Reason = "needs_certificate" if quantity == "cri" else "not_measured"
            return Reading("indeterminate", reason, "none", self.UNITS[quantity])
        best = min(given, key=lambda reading: reading.uncertainty or 0.0)
        if any(_differ(best, other) for other in given):
            return Reading(
                "indeterminate", "contradiction", best.source, best.unit, best.value, best.uncertainty
            )
        return best


def _differ(one: Reading, other: Reading) -> bool:
    apart = abs((one.value or 0.0) - (other.value or 0.0))
    return apart > math.hypot(one.uncertainty or 0.0, other.uncertainty or 0.0)
