"""Attachments and rooms from a terminal."""

from __future__ import annotations

import stat
from pathlib import Path

from api.core import Core
from tests.api.test_attachments import photograph
from tests.api.test_cli import Yian, assert_refused, chinese_and_english, terminal, yian
from tests.factories import People, make_case

__all__ = ["terminal", "yian"]


def test_a_file_is_attached_looked_at_released_and_deleted(
    yian: Yian, core: Core, people: People, tmp_path: Path
) -> None:
    case = make_case(core, people).id
    source, saved = tmp_path / "tongue.bin", tmp_path / "saved.jpg"
    source.write_bytes(photograph())
    done = yian("consultation", "attach", case, source, "--type", "tongue", "--as", "expert")
    assert done.status == 0 and chinese_and_english(done.out)
    (told,) = yian("consultation", "attachments", case, "--as", "reviewer", "--json").data
    assert told["format"] == "jpeg" and told["concerns"] == ["picture"]
    assert told["id"] in yian("consultation", "attachments", case, "--as", "reviewer").out
    look = ("consultation", "attachment", case, told["id"], saved, "--as", "reviewer")
    assert yian(*look).status == 0
    assert b"XIAOMING" not in saved.read_bytes() and stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert_refused(yian(*look), "saved.jpg")
    release = ("consultation", "release", case, told["id"], "--sha256", told["sha256"])
    assert_refused(yian(*release, "--as", "technician"))
    assert yian(*release, "--as", "reviewer").status == 0
    assert yian("consultation", "detach", case, told["id"], "--as", "reviewer").status == 0
    assert yian("consultation", "attachments", case, "--as", "reviewer", "--json").data == []
    absent = tmp_path / "absent.jpg"
    assert_refused(yian("consultation", "attach", case, absent, "--type", "tongue", "--as", "expert"), "read")


def test_a_room_is_planned_and_shown(yian: Yian, core: Core, people: People) -> None:
    case = make_case(core, people).id
    planned = yian("room", "plan", "room1", case, "--minutes", 25, "--automatic", "--as", "technician")
    assert planned.status == 0 and chinese_and_english(planned.out)
    day = planned.out.partition("room1，")[2][:10]
    (told,) = yian("room", "schedule", "room1", "--day", day, "--json").data
    assert told["length_s"] == 1500 and told["automatic"]
    assert_refused(yian("room", "plan", "Room 1", case, "--as", "technician"), "Room 1")
    assert yian("room", "list").status == 0
    assert_refused(yian("room", "retire", "room1", "--as", "manager"), "room1")
