"""One line for how the station is: the worst thing first, and never a word that is not so."""

from __future__ import annotations

from typing import Any

import pytest

from api.messages import LANGUAGES, load_messages
from api.station.words import doubts_in_words, in_words
from capture.health import Doubt, health_of
from config.settings import Settings

NAMES = {"desk": ("video", "desk"), "expert": ("audio", "expert"), "second": ("audio", "expert")}
SESSION = {"consultation": "c", "at_s": 1.0}


def snapshot(**changed: Any) -> dict[str, Any]:
    """Of a station on which all is well."""
    return {
        "state": "ready",
        "problem": None,
        "session": None,
        "interrupted": [],
        "roles": {name: role for name, (_, role) in NAMES.items()},
        "kinds": {name: kind for name, (kind, _) in NAMES.items()},
        "inputs": {name: {"state": "watching"} for name in NAMES},
        "absent": [],
        "sound_alarms": [],
        "role_check": None,
        "measures_light": False,
        "light": None,
        "space_left_s": 1e6,
        "queue": {"problem": None, "held": (), "online": True, "oldest_s": 0.0, "count": 0, "bytes": 0},
        "login": {"name": "", "needed": False},
        "today": [],
        "today_told_at": None,
    } | changed


def away(*names: str) -> dict[str, Any]:
    return {name: {"state": "restarting" if name in names else "recording"} for name in NAMES}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({}, "fine"),
        ({"measures_light": True}, "light_unknown"),
        ({"inputs": away("desk")}, "input_missing"),
        ({"inputs": away("desk"), "session": SESSION}, "input_away"),
        ({"inputs": away(*NAMES), "session": SESSION}, "nothing_recorded"),
        ({"absent": ["desk"], "state": "paused", "session": SESSION}, "paused_away"),
        ({"login": {"name": "", "needed": True}}, "login_first"),
        ({"login": {"name": "", "needed": True}, "today": [{"id": "c"}]}, "login_needed"),
        ({"sound_alarms": [{"code": "dead", "microphone": "expert"}], "interrupted": [{}]}, "interrupted"),
    ],
)
def test_the_worst_that_is_so_is_said(changed: dict[str, Any], code: str) -> None:
    assert health_of(snapshot(**changed)).code == code


@pytest.mark.parametrize(("problem", "code"), [("consent-withdrawn", "fine"), ("consent-expired", "refused")])
def test_what_a_patient_took_back_is_no_alarm(problem: str, code: str) -> None:
    held = ({"local": "x", "state": "refused", "problem": {"code": problem, "data": {}}},)
    queue = snapshot()["queue"] | {"held": held}
    assert health_of(snapshot(queue=queue)).code == code


def test_the_core_with_another_key_is_said_aloud() -> None:
    found = health_of(snapshot(queue=snapshot()["queue"] | {"problem": "base-key-changed"}))
    assert (found.level, found.code, found.problem) == ("bad", "base_key", "upload-refused")


def told(changed: dict[str, Any]) -> dict[str, Any]:
    shown = snapshot(**changed)
    found = health_of(shown)
    shown["health"] = {"level": found.level, "code": found.code, "data": found.data}
    words: dict[str, Any] = in_words(shown, load_messages("zh-CN"), Settings().zone, "http://core")["words"]
    return words


def test_devices_are_named_as_a_technician_knows_them() -> None:
    words = told({"inputs": away("desk", "second"), "session": SESSION})
    assert "诊桌摄像机、专家麦克风 second已断开" in words["health"]
    shown, doubts = snapshot(), [Doubt("light_fail"), Doubt("input_restarting", ("desk",))]
    assert doubts_in_words(doubts, shown, load_messages("zh-CN")) == [
        "光线不合格",
        "有设备正在重新连接：诊桌摄像机",
    ]


def test_nobody_is_told_that_it_records_while_nothing_is_recorded() -> None:
    changed = {"inputs": away(*NAMES), "session": SESSION, "state": "recording"}
    assert told(changed)["state"] == "没有录到！"
    assert told(changed | {"inputs": away("desk")})["state"] == "录制中"


def test_every_line_has_words_in_both_languages() -> None:
    codes = (
        "input_missing",
        "input_away",
        "nothing_recorded",
        "login_first",
        "login_needed",
        "base_key",
        "paused_away",
    )
    for language in LANGUAGES:
        assert all(f"station.health.{code}" in load_messages(language) for code in codes)


def test_why_a_patient_was_planned_into_a_full_half_day_stands_in_the_list() -> None:
    visit = {
        "id": "c11",
        "scheduled_at": "2026-11-24T01:00:00+00:00",
        "kind": "consultation",
        "consent": "signed",
        "may_record": True,
        "recorded": False,
        "override_reason": "急腹症",
        "override_by": "赵主任",
    }
    ordinary = visit | {"id": "c1", "override_reason": None, "override_by": None}
    words = told({"today": [visit, ordinary]})["today"]
    assert "急腹症" in words["c11"]["override"]
    assert "赵主任" in words["c11"]["override"]
    assert words["c1"]["override"] == ""
