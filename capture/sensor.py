"""A lux sensor beside the card: lines over a serial port, or JSON over HTTP as ESPHome's web server answers.

Nothing a sensor does may hold the station up or be taken on trust: every read ends within seconds, and what is no
plausible number of lux becomes a named problem instead of a value.
"""

from __future__ import annotations

import json
import math
import re
import time
from dataclasses import dataclass
from typing import Any, Literal

import httpx

from capture.light_setup import Sensor

Problem = Literal["sensor_silent", "sensor_garbage"]
TIMEOUT_S = 3.0
MAX_BYTES = 65_536
# Full sun is 120 000 lx; more is a fault.
LUX_MAX = 200_000.0
_LIGHT_NAME = re.compile(r"lux|illumin|\blx\b|light|照度", re.IGNORECASE)
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_STATE = re.compile(rf"\s*({_NUMBER})\s*(k?lx|k?lux)?\s*", re.IGNORECASE)
_LINE = re.compile(r"\s*([^:=]+?)\s*[:=]\s*(.+?)\s*")


@dataclass(frozen=True)
class SensorReading:
    """``lux``, or the ``problem`` that there was instead; ``uncertainty`` is relative, expanded (k = 2)."""

    lux: float | None
    uncertainty: float
    problem: Problem | None = None


def read_sensor(sensor: Sensor, timeout_s: float = TIMEOUT_S) -> SensorReading:
    """What the sensor shows now, within ``timeout_s``. Raises nothing: a problem is part of the reading."""
    read = _read_serial if sensor.kind == "serial" else _read_http
    value = read(sensor, time.monotonic() + timeout_s)
    if not isinstance(value, float):
        return SensorReading(None, sensor.uncertainty, value)
    lux = value * sensor.factor
    if not (math.isfinite(lux) and 0 <= lux <= LUX_MAX):
        return SensorReading(None, sensor.uncertainty, "sensor_garbage")
    return SensorReading(lux, sensor.uncertainty)


def lux_in(text: str, field: str = "") -> float | None:
    """The number of lux in one line or one JSON answer; None when there is none, or several and no ``field``."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        named = _LINE.fullmatch(text)
        if named:
            return _number(named[2]) if _wanted(named[1], field) else None
        return _number(text) if not field else None
    if isinstance(content, dict):
        return _in_object(content, field)
    return _number(content) if not field else None


def _in_object(content: dict[str, Any], field: str) -> float | None:
    if "value" in content or "state" in content:  # ESPHome: {"id": ..., "value": 812.3, "state": "812 lx"}
        name = str(content.get("id") or content.get("name") or "")
        if field and field not in (name, name.rsplit("-", 1)[-1], name.rsplit("/", 1)[-1]):
            return None
        value, state = _number(content.get("value")), _number(content.get("state"))
        if value is not None and state is not None and abs(value - state) > 0.02 * max(value, state) + 1:
            return None  # two answers in one
        return value if value is not None else state
    found = [_number(value) for name, value in content.items() if _wanted(name, field)]
    return found[0] if len(found) == 1 else None


def _wanted(name: str, field: str) -> bool:
    return name.strip() == field if field else _LIGHT_NAME.search(name) is not None


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e12 else None
    match = _STATE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    return float(match[1]) * (1000.0 if (match[2] or "").lower().startswith("k") else 1.0)


def _read_serial(sensor: Sensor, deadline: float) -> float | Problem:
    import serial

    heard = b""
    try:
        with serial.Serial(sensor.source, sensor.baud, timeout=0.2) as port:
            while time.monotonic() < deadline and len(heard) < MAX_BYTES:
                heard += port.read(max(1, min(4096, port.in_waiting)))
                # The first line may have begun before we listened, the last is not whole yet.
                for line in heard.split(b"\n")[1:-1]:
                    value = lux_in(line.decode("utf-8", "replace").strip(), sensor.field)
                    if value is not None:
                        return value
    except (serial.SerialException, OSError, ValueError):
        return "sensor_silent"
    return "sensor_garbage" if heard.strip() else "sensor_silent"


def _read_http(sensor: Sensor, deadline: float) -> float | Problem:
    heard = b""
    try:
        with (
            httpx.Client(timeout=max(0.1, deadline - time.monotonic()), trust_env=False) as client,
            client.stream("GET", sensor.source) as answer,
        ):
            if answer.status_code != 200:
                return "sensor_silent"
            for part in answer.iter_bytes():
                heard += part
                if len(heard) > MAX_BYTES or time.monotonic() > deadline:
                    return "sensor_garbage"
    except (httpx.HTTPError, httpx.InvalidURL, OSError):
        return "sensor_silent"
    value = lux_in(heard.decode("utf-8", "replace"), sensor.field)
    return "sensor_garbage" if value is None else value
