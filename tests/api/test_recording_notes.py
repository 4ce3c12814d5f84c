from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

from api import actions
from api.core import Core
from archive.models import Recording, utc_now
from tests.factories import People, bearer, make_processing_case

NOTES: list[tuple[str, float, dict[str, Any], str]] = [
    ("chapter", 12.0, {"chapter": "look"}, "章节：望"),
    ("paper", 20.0, {"on": True}, "画面中出现纸张：请检查并遮盖"),
    ("pause", 30.0, {"on": True}, "隐私暂停开始"),
    (
        "gap",
        30.0,
        {"track": "desk", "from_s": 30.0, "to_s": 42.5, "reason": "pause"},
        "desk 缺 12.5 秒（隐私暂停）",
    ),
    ("override", 0.0, {"doubts": ["light_fail"], "reason": "<b>急诊</b>"}, "&lt;b&gt;急诊&lt;/b&gt;"),
    ("light", 1.0, {"verdict": "fail"}, "测光：不合格"),
    (
        "clock",
        59.0,
        {"track": "desk", "drift_ppm": 25.0},
        "desk 的时钟比录制电脑每小时快 +90 毫秒（+25.0 ppm",
    ),
    ("end", 60.0, {"why": "stopped"}, "录制结束"),
    ("gap", 61.0, {"track": "desk", "to_s": "soon"}, "desk 缺"),
]


@pytest.fixture
def case_id(core: Core, people: People) -> str:
    case = make_processing_case(core, people)
    with core.catalog.write() as session:
        recording = Recording(
            consultation_id=case.id,
            rig={},
            light=None,
            started_at=utc_now(),
            recorded_by=people.technician.id,
        )
        session.add(recording)
        session.flush()
        recording_id = recording.id
    for number, (kind, at_s, data, _) in enumerate(NOTES):
        actions.add_note(
            core, people.technician, recording_id, id=f"n{number}", kind=kind, at_s=at_s, data=data
        )
    return case.id


def test_who_edits_a_case_reads_what_happened_while_it_was_recorded(
    web: TestClient, core: Core, people: People, case_id: str
) -> None:
    for user in (people.reviewer, people.expert, people.technician, people.manager):
        shown = web.get(f"/cases/{case_id}", headers=bearer(core, user)).text
        for _, _, _, words in NOTES:
            assert words in shown, (user.role, words)
    assert "<b>急诊" not in shown


def test_of_a_clock_that_was_measured_again_only_the_last_is_read(
    web: TestClient, core: Core, people: People, case_id: str
) -> None:
    with core.catalog.read() as session:
        recording_id = session.scalars(select(Recording.id)).one()
    for number, (track, ppm) in enumerate((("desk", -40.0), ("expert", 3.0), ("desk", -41.25))):
        told = {"track": track, "drift_ppm": ppm}
        actions.add_note(
            core,
            people.technician,
            recording_id,
            id=f"c{number}",
            kind="clock",
            at_s=300.0 + number,
            data=told,
        )
    shown = web.get(f"/cases/{case_id}", headers=bearer(core, people.reviewer)).text
    assert shown.count("ppm") == 2
    assert "expert 的时钟比录制电脑每小时快 +11 毫秒（+3.0 ppm" in shown
    assert "desk 的时钟比录制电脑每小时快 -148 毫秒（-41.2 ppm" in shown


def test_a_trainee_reads_nothing_of_it(core: Core, people: People, case_id: str) -> None:
    assert actions.case_notes(core, people.trainee, case_id) == []
