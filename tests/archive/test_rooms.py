"""Rooms, plans and attachments in the catalogue, on both databases."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from api import actions
from archive.models import utc_now
from archive.rooms import AgentState
from archive.terms import Role, State, Topic
from config.errors import ConsentMissing, PlanOverlaps
from tests.archive.dicom_files import picture, write
from tests.archive.rooms import open_room


def test_reports_plans_and_attachments_are_kept_on_either_database(tmp_path: Path, database_url: str) -> None:
    room = open_room(tmp_path / "home", database_url)
    core = room.core
    try:
        technician, expert = room.person(Role.TECHNICIAN), room.person(Role.EXPERT)
        now = utc_now()
        told = {"since": now - dt.timedelta(minutes=3), "clock": now, "problems": []}
        for state in (AgentState.READY, AgentState.READY, AgentState.RECORDING):
            kept = actions.hear_room(core, technician, "room1", state, told)
        assert kept.since <= now
        assert [change.state for change in actions.room_changes(core, technician, "room1")] == [
            "recording",
            "ready",
        ]
        case = room.case(State.SCHEDULED, technician, expert)
        with pytest.raises(ConsentMissing):
            actions.plan_room(core, technician, "room1", case.id, automatic=True)
        actions.sign_consent(core, technician, case.id, room.form())
        actions.plan_room(core, technician, "room1", case.id, starts_at=now, automatic=True)
        (planned,) = actions.room_schedule(core, technician, "room1")
        assert planned.automatic and planned.starts_at == now
        other = room.case(State.SCHEDULED, technician, expert)
        actions.sign_consent(core, technician, other.id, room.form())
        with pytest.raises(PlanOverlaps):
            actions.plan_room(core, technician, "room1", other.id, starts_at=now, automatic=True)

        source = write(tmp_path / "scan.dcm", picture())
        attached = actions.attach(core, expert, case.id, source, topic=Topic.REPORT, taken_at=now)
        assert [one.id for one in actions.list_attachments(core, expert, case.id)] == [attached.id]
        _, content = actions.open_attachment(core, expert, case.id, attached.id)
        assert b"ZHANG" not in content and len(content) == attached.size
    finally:
        core.close()
