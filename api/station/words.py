"""A station's snapshot in words: what its codes mean in the reader's language, and times in the base's zone."""

from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from api.messages import Messages
from config.errors import error_from_dict


def in_words(snapshot: dict[str, Any], words: Messages, zone: ZoneInfo, core_url: str) -> dict[str, Any]:
    """``snapshot`` with a ``words`` part: health, problem, doubts, light, alarms, the list of today."""
    light = snapshot["light"]
    told = {
        "state": words.text(f"station.state.{snapshot['state']}"),
        "health": _health(snapshot, words),
        "light": _light(light, words),
        "light_verdict": words.text(
            f"light.verdict.{light['verdict']}" if light else "station.light.unchecked"
        ),
        "advice": [words.text(key, **data) for key, data in light["advice"]] if light else [],
        "alarms": [
            words.text(f"station.sound.{alarm['code']}", name=_role(snapshot, alarm["microphone"], words))
            for alarm in snapshot["sound_alarms"]
        ],
        "role_check": _role_check(snapshot, words),
        "inputs": {
            name: words.text(f"station.input.{each['state']}") for name, each in snapshot["inputs"].items()
        },
        "today": {visit["id"]: _visit(visit, words, zone, core_url) for visit in snapshot["today"]},
        "told_at_text": words.text("station.told_at", time=_clock(snapshot["today_told_at"], zone) or "–"),
        "now": dt.datetime.now(zone).strftime("%H:%M"),
        "space": _space(snapshot["space_left_s"], words),
        "queue": _queue(snapshot["queue"], words),
        "interrupted": [_interrupted(each, snapshot, words, zone) for each in snapshot["interrupted"]],
    }
    return {**snapshot, "words": told}


def doubts_in_words(doubts: list[str], words: Messages) -> list[str]:
    return [words.text(f"station.doubt.{doubt}") for doubt in doubts]


def _health(snapshot: dict[str, Any], words: Messages) -> str:
    health = snapshot["health"]
    if health["code"] == "problem":
        return " ".join(words.error(error_from_dict(snapshot["problem"])))
    data = dict(health["data"])
    if "name" in data:
        data["name"] = _role(snapshot, data["name"], words)
    return words.text(f"station.health.{health['code']}", **data)


def _role_check(snapshot: dict[str, Any], words: Messages) -> str:
    check = snapshot["role_check"]
    if check is None:
        return ""
    if check["asked"] is not None:
        return words.text("sound.roles.ask", role=_role(snapshot, check["asked"], words))
    names = words.text("app.comma").join(_role(snapshot, name, words) for name in check["swapped"])
    return words.text(f"sound.roles.{check['answer']}", names=names)


def _role(snapshot: dict[str, Any], name: str, words: Messages) -> str:
    role = snapshot["roles"].get(name)
    return words.text(f"station.role.{role}") if role else name


def _light(light: dict[str, Any] | None, words: Messages) -> list[dict[str, str]]:
    if light is None:
        return []
    rows = []
    for quantity, digits in (("illuminance", 0), ("cct", 0), ("duv", 4), ("cri", 0)):
        reading = light[quantity]
        value = "–" if reading["value"] is None else f"{reading['value']:.{digits}f}"
        spread = "" if reading["uncertainty"] is None else f" ± {reading['uncertainty']:.{digits}f}"
        rows.append(
            {
                "name": words.text(f"light.quantity.{quantity}"),
                "value": f"{value}{spread} {reading['unit']}",
                "verdict": reading["verdict"],
                "verdict_text": words.text(f"light.verdict.{reading['verdict']}"),
                "reason": words.text(f"light.reason.{reading['reason']}"),
            }
        )
    return rows


def _visit(visit: dict[str, Any], words: Messages, zone: ZoneInfo, core_url: str) -> dict[str, str]:
    return {
        "time": _clock(visit["scheduled_at"], zone),
        "kind": words.text(f"kind.{visit['kind']}"),
        "consent": words.text(f"station.consent.{visit['consent']}"),
        "sign_url": f"{core_url.rstrip('/')}/consultations/{quote(visit['id'])}/consent",
    }


def _clock(when: str | None, zone: ZoneInfo) -> str:
    return dt.datetime.fromisoformat(when).astimezone(zone).strftime("%H:%M") if when else ""


def _space(left_s: float | None, words: Messages) -> str:
    if left_s is None:
        return ""
    hours, minutes = divmod(int(max(0.0, left_s)) // 60, 60)
    return words.text("station.space", hours=hours, minutes=minutes)


def _queue(queue: dict[str, Any], words: Messages) -> str:
    if not queue["count"]:
        return words.text("station.queue.empty")
    key = "station.queue.sending" if queue["online"] else "station.queue.offline"
    return words.text(key, count=queue["count"], mb=f"{queue['bytes'] / 2**20:.0f}")


def _interrupted(each: dict[str, Any], snapshot: dict[str, Any], words: Messages, zone: ZoneInfo) -> str:
    title = next((visit["title"] for visit in snapshot["today"] if visit["id"] == each["consultation"]), "")
    return words.text("station.interrupted", time=_clock(str(each["started_at"]), zone), title=title)
