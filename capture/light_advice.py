"""What to do about the light: codes and numbers for the message catalogue, the most urgent first."""

from __future__ import annotations

import math

from capture.lighting import LightCheck, Reading, Reason

Advice = tuple[str, dict[str, str | float]]
# Of half the accepted range: with more uncertainty than this hardly any light can pass.
WIDE_SHARE = 0.9
# What stops a measurement at all comes before what a lamp should be set to.
_DIRECT: dict[Reason, str] = {
    "too_dim": "light.advice.too_dim",
    "too_bright": "light.advice.too_bright",
    "too_warm": "light.advice.too_warm",
    "too_cool": "light.advice.too_cool",
    "poor_rendering": "light.advice.poor_rendering",
    "too_green": "light.advice.tinted",
    "too_pink": "light.advice.tinted",
}


def advice(check: LightCheck) -> list[Advice]:
    """(message key, its numbers) for everything that did not pass, each said once.

    With lamps named in the setup the keys end in ``.lamps`` and carry ``lamps``.
    """
    found: list[Advice] = []
    readings = {"illuminance": check.illuminance, "cct": check.cct, "cri": check.cri, "duv": check.duv}
    for quantity, reading in readings.items():
        if reading.verdict == "pass" or (quantity == "duv" and reading.verdict != "fail"):
            continue
        said = _about(quantity, reading, check)
        if said not in found:
            found.append(said)
    return sorted(found, key=lambda each: each[0] in _DIRECT.values())


def _about(quantity: str, reading: Reading, check: LightCheck) -> Advice:
    value = reading.value or 0.0
    if reading.reason == "near_limit":
        wide = (reading.uncertainty or 0.0) > WIDE_SHARE * _half_range(quantity, check)
        return f"light.advice.{'too_uncertain' if wide else 'near_limit'}.{quantity}", {
            "value": _shown(quantity, value),
            "uncertainty": _shown(quantity, reading.uncertainty or 0.0),
            "target": _shown(quantity, _target(quantity, check)),
        }
    key = _DIRECT.get(reading.reason)
    if key is None:
        return f"light.reason.{reading.reason}", {}
    numbers: dict[str, str | float] = {
        "value": _shown(quantity, value),
        "target": _shown(quantity, _target(quantity, check)),
    }
    if quantity == "illuminance" and value > 0:
        numbers["percent"] = f"{abs(_target(quantity, check) / value - 1) * 100:.0f}"
    if check.lamps and quantity in ("illuminance", "cct"):
        return f"{key}.lamps", numbers | {"lamps": ", ".join(check.lamps)}
    return key, numbers


def _half_range(quantity: str, check: LightCheck) -> float:
    """Half the accepted range; infinite where it is open to one side."""
    limits = check.limits
    if quantity == "illuminance":
        return (limits["lux_high"] - limits["lux_low"]) / 2
    return (limits["cct_max_k"] - limits["cct_min_k"]) / 2 if quantity == "cct" else math.inf


def _target(quantity: str, check: LightCheck) -> float:
    limits = check.limits
    if quantity == "illuminance":
        return limits["lux_target"]
    if quantity == "cct":
        return round((limits["cct_min_k"] + limits["cct_max_k"]) / 2, -1)
    return limits["cri_min"] if quantity == "cri" else 0.0


def _shown(quantity: str, value: float) -> str:
    return f"{value:.4f}" if quantity == "duv" else f"{value:.1f}" if quantity == "cri" else f"{value:.0f}"
