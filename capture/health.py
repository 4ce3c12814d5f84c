"""How the station is, in one line: the worst thing first, as a code that the message catalogue has words for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from config.errors import BaseKeyChanged, ConsentWithdrawn

Level = Literal["ok", "warn", "bad"]
AWAY = frozenset({"restarting", "failed"})  # what an input's state is while it delivers nothing
LOW_SPACE_S = 1800.0
WAITING_LONG_S = 3 * 24 * 3600.0

# What the core calls it.
_AT_THE_CORE = {
    "input_away": "input-died",
    "paused_away": "input-died",
    "input_missing": "input-died",
    "nothing_recorded": "input-died",
    "base_key": "upload-refused",
    "login_needed": "core-unreachable",
    "login_first": "core-unreachable",
    "sound_dead": "microphone-silent",
    "sound_unplugged": "microphone-silent",
    "space_low": "disk-low",
    "offline": "core-unreachable",
    "refused": "upload-refused",
}


@dataclass(frozen=True)
class Doubt:
    """What speaks against recording now: ``code`` is the text ``station.doubt.<code>``, ``names`` the inputs it is about."""

    code: str
    names: tuple[str, ...] = ()


@dataclass(frozen=True)
class Health:
    """``code`` is the text ``station.health.<code>``; ``data`` fills its places."""

    level: Level
    code: str
    data: Mapping[str, Any]

    @property
    def problem(self) -> str | None:
        """The code under which the core knows it; None when there is nothing to worry about."""
        if self.level == "ok":
            return None
        if self.code == "problem":
            return str(self.data["problem"])
        fallback = "sound-alarm" if self.code.startswith("sound_") else self.code.replace("_", "-")
        return _AT_THE_CORE.get(self.code, fallback)


def health_of(snapshot: Mapping[str, Any]) -> Health:
    """What to say of a station's snapshot: the first that is true, from the worst on."""
    problem = snapshot["problem"]
    if problem is not None:
        return Health("bad", "problem", {"problem": problem["code"]})
    if snapshot["space_left_s"] is not None and snapshot["space_left_s"] <= 0:
        return Health("bad", "disk_full", {})
    if snapshot["queue"]["problem"] == BaseKeyChanged.code:
        return Health("bad", "base_key", {})
    if away := [name for name, each in snapshot["inputs"].items() if each["state"] in AWAY]:
        return Health("bad", _away_code(snapshot, away), {"names": away})
    if snapshot["interrupted"] and snapshot["session"] is None:
        return Health("warn", "interrupted", {"count": len(snapshot["interrupted"])})
    for alarm in snapshot["sound_alarms"]:
        return Health("bad", f"sound_{alarm['code']}", {"name": alarm["microphone"]})
    return _warning(snapshot)


def _is_withdrawn(held: Mapping[str, Any]) -> bool:
    return held["problem"] is not None and held["problem"]["code"] == ConsentWithdrawn.code


def _away_code(snapshot: Mapping[str, Any], away: list[str]) -> str:
    if snapshot["session"] is None:
        return "input_missing"
    return "nothing_recorded" if len(away) == len(snapshot["inputs"]) else "input_away"


def _warning(snapshot: Mapping[str, Any]) -> Health:
    if snapshot["absent"]:
        return Health("warn", "paused_away", {"names": snapshot["absent"]})
    if snapshot["login"]["needed"]:
        return Health("warn", "login_needed" if snapshot["today"] else "login_first", {})
    light = snapshot["light"]
    if light is not None and light["verdict"] == "fail":
        return Health("warn", "light_fail", {})
    if snapshot["space_left_s"] is not None and snapshot["space_left_s"] < LOW_SPACE_S:
        return Health("warn", "space_low", {"minutes": int(snapshot["space_left_s"] // 60)})
    queue = snapshot["queue"]
    # What a patient took back is refused for ever, as it should be.
    refused = [each for each in queue["held"] if each["state"] == "refused" and not _is_withdrawn(each)]
    if refused:
        return Health("warn", "refused", {"count": len(refused)})
    if not queue["online"]:
        level: Level = "warn" if queue["oldest_s"] > WAITING_LONG_S else "ok"
        return Health(level, "offline", {"count": queue["count"]})
    if snapshot["state"] == "paused":
        return Health("ok", "paused", {})
    if snapshot["measures_light"] and (light is None or light["verdict"] == "indeterminate"):
        return Health("ok", "light_unknown", {})
    return Health("ok", "fine", {})
