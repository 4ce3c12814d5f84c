"""A station's snapshot in words: what its codes mean in the reader's language, and times in the base's zone."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from api.messages import Messages
from capture.health import Doubt
from config.errors import ConsentWithdrawn, DiskFull, error_from_dict


def in_words(snapshot: dict[str, Any], words: Messages, zone: ZoneInfo, core_url: str) -> dict[str, Any]:
    """``snapshot`` with a ``words`` part: health, problem, doubts, light, alarms, the list of today."""
    light = snapshot["light"]
    told = {
        "state": words.text(f"station.state.{_state(snapshot)}"),
        "health": _health(snapshot, words),
        "light": _light(light, words),
        "light_verdict": words.text(_light_key(snapshot)),
        "advice": [words.text(key, **data) for key, data in light["advice"]] if light else [],
        "alarms": [
            words.text(f"station.sound.{alarm['code']}", name=_role(snapshot, alarm["microphone"], words))
            for alarm in snapshot["sound_alarms"]
        ],
        "role_check": _role_check(snapshot, words),
        "inputs": {
            name: words.text(f"station.input.{'absent' if name in snapshot['absent'] else each['state']}")
            for name, each in snapshot["inputs"].items()
        },
        "today": {visit["id"]: _visit(visit, words, zone, core_url) for visit in snapshot["today"]},
        "told_at_text": words.text("station.told_at", time=_clock(snapshot["today_told_at"], zone) or "–"),
        "now": dt.datetime.now(zone).strftime("%H:%M"),
        "space": _space(snapshot["space_left_s"], words),
        "queue": _queue(snapshot, words),
        "login": ("" if snapshot["login"]["needed"] else snapshot["login"]["name"])
        or words.text("station.login"),
        "interrupted": [_interrupted(each, snapshot, words, zone) for each in snapshot["interrupted"]],
    }
    return {**snapshot, "words": told}


def doubts_in_words(doubts: list[Doubt], snapshot: dict[str, Any], words: Messages) -> list[str]:
    told = []
    for doubt in doubts:
        text = words.text(f"station.doubt.{doubt.code}")
        names = _devices(snapshot, doubt.names, words)
        told.append(words.text("station.doubt.of", doubt=text, names=names) if names else text)
    return told


def _state(snapshot: dict[str, Any]) -> str:
    """Nobody is to be told that it records while no device delivers anything."""
    nothing = snapshot["health"]["code"] == "nothing_recorded" and snapshot["state"] == "recording"
    return "nothing_recorded" if nothing else str(snapshot["state"])


def _health(snapshot: dict[str, Any], words: Messages) -> str:
    health = snapshot["health"]
    if health["code"] == "problem":
        code = snapshot["problem"]["code"]
        own = {ConsentWithdrawn.code: "station.health.withdrawn", DiskFull.code: "station.health.full"}.get(
            code
        )
        return words.text(own) if own else " ".join(words.error(error_from_dict(snapshot["problem"])))
    data = dict(health["data"])
    if "name" in data:
        data["name"] = _role(snapshot, data["name"], words)
    if "names" in data:
        data["names"] = _devices(snapshot, data["names"], words)
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


def _devices(snapshot: dict[str, Any], names: Iterable[str], words: Messages) -> str:
    """ "诊桌摄像机、专家麦克风"; where several have one role, with their names in the rig."""
    roles, kinds = snapshot["roles"], snapshot["kinds"]
    alike = Counter((kinds[name], roles[name]) for name in roles)

    def device(name: str) -> str:
        told = words.text(f"station.device.{kinds[name]}", role=_role(snapshot, name, words))
        return told if alike[kinds[name], roles[name]] == 1 else f"{told} {name}"

    return words.text("app.comma").join(device(name) for name in names)


def _light_key(snapshot: dict[str, Any]) -> str:
    if not snapshot["measures_light"]:
        return "station.light.none"
    light = snapshot["light"]
    return f"light.verdict.{light['verdict']}" if light else "station.light.unchecked"


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
        "consent": words.text(f"station.consent.{_consent(visit)}"),
        "override": _override(visit, words),
        "sign_url": f"{core_url.rstrip('/')}/consultations/{quote(visit['id'])}/consent",
    }


def _override(visit: dict[str, Any], words: Messages) -> str:
    reason, by = visit["override_reason"], visit["override_by"]
    return words.text("today.override", reason=reason, by=by) if reason else ""


def _consent(visit: dict[str, Any]) -> str:
    """A signed visit that may not be recorded is one that has been; of another there may be a second part."""
    if visit["consent"] != "signed":
        return str(visit["consent"])
    if not visit["may_record"]:
        return "recorded"
    return "more" if visit["recorded"] else "signed"


def _clock(when: str | None, zone: ZoneInfo) -> str:
    return dt.datetime.fromisoformat(when).astimezone(zone).strftime("%H:%M") if when else ""


def _space(left_s: float | None, words: Messages) -> str:
    if left_s is None:
        return ""
    hours, minutes = divmod(int(max(0.0, left_s)) // 60, 60)
    return words.text("station.space", hours=hours, minutes=minutes)


def _queue(snapshot: dict[str, Any], words: Messages) -> str:
    queue = snapshot["queue"]
    if not queue["count"]:
        return words.text("station.queue.empty")
    key = "station.queue.sending" if queue["online"] else "station.queue.offline"
    if snapshot["login"]["needed"]:
        key = "station.queue.login"
    return words.text(key, count=queue["count"], mb=f"{queue['bytes'] / 2**20:.0f}")


def _interrupted(each: dict[str, Any], snapshot: dict[str, Any], words: Messages, zone: ZoneInfo) -> str:
    title = next((visit["title"] for visit in snapshot["today"] if visit["id"] == each["consultation"]), "")
    key = "station.interrupted.paused" if each["paused"] else "station.interrupted"
    return words.text(key, time=_clock(str(each["started_at"]), zone), title=title)
