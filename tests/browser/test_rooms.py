"""A manager watches the rooms in a real browser: states change by themselves, and nothing is wider than a phone."""

from __future__ import annotations

import datetime as dt
import os

from playwright.sync_api import Page, expect

from api import actions
from api.core import Core
from archive.models import Room, utc_now
from archive.rooms import AgentState
from tests.browser.test_play import address, browser, core, log_in, page, people
from tests.factories import People, make_case

__all__ = ["address", "browser", "core", "page", "people"]


def reported(core: Core, people: People, state: AgentState, problems: list[str] | None = None) -> Room:
    now = utc_now()
    told = {
        "since": now - dt.timedelta(minutes=12),
        "clock": now,
        "name": "第一诊室",
        "consultation": None,
        "space_left_s": 7200.0,
        "queue": {"count": 2, "bytes": 3_000_000, "oldest_at": None},
        "problems": problems or [],
        "light": "pass",
        "sound": "fail",
        "agent": "0.1.0",
    }
    return actions.hear_room(core, people.technician, "room1", state, told)


def test_states_change_by_themselves_while_a_plan_stays_unfolded_and_the_focus_stays(
    page: Page, address: str, core: Core, people: People
) -> None:
    reported(core, people, AgentState.READY)
    case = make_case(core, people, "颈椎病手法展示前的辨证与病史询问完整记录一例")
    noon = utc_now().astimezone(core.settings.zone).replace(hour=12, minute=0)
    actions.plan_room(core, people.manager, "room1", case.id, starts_at=noon, automatic=True)
    log_in(page, address, "manager")
    page.get_by_role("link", name="诊室").click()
    room = page.locator("[data-room=room1]")
    expect(room.locator(".chip").first).to_have_text("就绪")
    room.get_by_text("今日安排 1 个诊次").click()
    expect(room.get_by_text("自动", exact=True)).to_be_visible()
    reported(core, people, AgentState.ERROR, ["microphone-silent"])
    expect(room.locator(".chip").first).to_have_text("出错", timeout=20_000)
    expect(room.get_by_text("麦克风没有声音")).to_be_visible()
    expect(room.get_by_text("自动", exact=True)).to_be_visible()
    expect(room.locator("summary")).to_be_focused()
    for width in (1280, 375):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
        if shots := os.environ.get("TEST_SHOTS"):
            page.screenshot(path=f"{shots}/rooms-{width}.png", full_page=True)


def test_a_lost_server_is_said_and_its_return_too(
    page: Page, address: str, core: Core, people: People
) -> None:
    reported(core, people, AgentState.READY)
    log_in(page, address, "manager")
    page.goto(f"{address}/rooms")
    page.route("**/rooms", lambda route: route.abort())
    expect(page.locator("#rooms-offline")).to_be_visible(timeout=20_000)
    page.unroute("**/rooms")
    expect(page.locator("#rooms-offline")).to_be_hidden(timeout=20_000)
