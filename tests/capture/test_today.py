from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from capture.today import Today
from config.errors import CoreUnreachable, NotFound

ZONE = ZoneInfo("Asia/Shanghai")


def line(**other: Any) -> dict[str, Any]:
    told = {
        "id": "c1",
        "scheduled_at": "2026-11-24T01:00:00+00:00",
        "half_day": "am",
        "kind": "consultation",
        "title": "头痛",
        "expert": "E",
        "patient": "P-1",
        "may_record": True,
        "consent": "signed",
    }
    return told | other


class Clerk:
    """Tells the list, until it is away."""

    def __init__(self) -> None:
        self.list: Any = [line()]

    def __call__(self) -> Any:
        if self.list is None:
            raise CoreUnreachable(url="", detail="away")
        return self.list


def test_the_last_list_told_outlives_the_core_and_the_program(tmp_path: Path) -> None:
    clerk = Clerk()
    today = Today(tmp_path, ZONE, clerk)
    assert today.visits == ()
    today.refresh()
    clerk.list = None
    with pytest.raises(CoreUnreachable):
        today.refresh()
    assert today.find("c1").may_record
    again = Today(tmp_path, ZONE, clerk)
    assert again.find("c1").title == "头痛"
    assert again.told_at == today.told_at


def test_yesterdays_list_lets_nobody_record(tmp_path: Path) -> None:
    today = Today(tmp_path, ZONE, Clerk())
    today.refresh()
    path = tmp_path / "station" / "today.json"
    told = json.loads(path.read_text())
    told["told_at"] = (dt.datetime.now(dt.UTC) - dt.timedelta(days=1)).isoformat()
    path.write_text(json.dumps(told))
    stale = Today(tmp_path, ZONE, Clerk())
    assert stale.visits == ()
    with pytest.raises(NotFound):
        stale.find("c1")


@pytest.mark.parametrize("told", [{}, [{"id": "c1"}], "no", [line(may_record="maybe")], None])
def test_an_answer_that_is_no_list_changes_nothing(tmp_path: Path, told: Any) -> None:
    clerk = Clerk()
    today = Today(tmp_path, ZONE, clerk)
    today.refresh()
    clerk.list = told
    with pytest.raises(CoreUnreachable):
        today.refresh()
    assert today.find("c1").may_record


@pytest.mark.parametrize("bytes_", [b"", b"{", b"[]", b'{"visits": 3}', b"\xff\xfe"])
def test_a_damaged_list_on_the_disk_is_no_list(tmp_path: Path, bytes_: bytes) -> None:
    path = tmp_path / "station" / "today.json"
    path.parent.mkdir()
    path.write_bytes(bytes_)
    assert Today(tmp_path, ZONE, Clerk()).visits == ()


def test_a_list_that_cannot_be_kept_counts_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("capture.today.keep", full)
    today = Today(tmp_path, ZONE, Clerk())
    today.refresh()
    assert today.find("c1").may_record
