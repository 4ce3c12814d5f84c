"""A technician at the station, in a real browser: by touch, by keyboard, with the wrong click."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from api import actions
from archive.consent import SignedForm
from archive.models import utc_now
from archive.terms import Purpose
from capture.station import Station
from tests.browser.test_play import FLAGS, chromium
from tests.factories import CONSENT_TEXT, PASSWORD, PNG
from tests.station.conftest import Room, plan, room, until

pytestmark = pytest.mark.lengthy
__all__ = ["room"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def station(room: Room) -> Iterator[Station]:
    with room.station() as station:
        yield station


@pytest.fixture(params=[(1280, 800), (1920, 1080)], ids=["tablet", "1080p"])
def page(request: pytest.FixtureRequest, browser: Browser, room: Room, station: Station) -> Iterator[Page]:
    width, height = request.param
    with room.page(station) as url:
        context = browser.new_context(
            locale="zh-CN", viewport={"width": width, "height": height}, has_touch=True
        )
        page = context.new_page()
        problems: list[str] = []
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda told: problems.append(told.text) if told.type == "error" else None)
        page.goto(url)
        expect(visit(page, "头痛一例")).to_be_visible()
        yield page
        context.close()
        assert not [problem for problem in problems if "Failed to load resource" not in problem]


def visit(page: Page, title: str) -> Locator:
    return page.locator(".visit", has_text=title)


def test_everything_fits_on_one_screen_and_no_key_is_smaller_than_a_fingertip(page: Page) -> None:
    width, height = page.viewport_size["width"], page.viewport_size["height"]  # type: ignore[index]  # it has one
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("document.documentElement.scrollHeight") <= height
    for button in page.locator(".station-keys button").all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 48 and box["width"] >= 48, box
        assert box["y"] + box["height"] <= height


def test_a_visit_without_consent_has_no_record_key(page: Page) -> None:
    visit(page, "咳嗽一例").tap()
    expect(page.locator("[data-do=start]")).to_be_disabled()
    visit(page, "头痛一例").tap()
    expect(page.locator("[data-do=start]")).to_be_enabled()


def test_a_whole_session_by_touch(page: Page, station: Station, tmp_path: Path) -> None:
    visit(page, "头痛一例").tap()
    page.locator("[data-do=start]").tap()
    expect(page.locator("body")).to_have_attribute("data-state", "recording")
    expect(page.locator("[data-camera=desk] img")).to_be_visible()
    page.locator("[data-chapter=look]").tap()
    expect(page.locator("[data-chapter=look]")).to_have_class(re.compile("current"))
    page.locator("[data-do=paper]").tap()
    expect(page.locator("[data-do=paper]")).to_have_attribute("aria-pressed", "true")
    page.locator("[data-do=pause]").tap()
    expect(page.locator("body")).to_have_attribute("data-state", "paused")
    expect(page.locator("[data-camera=desk] img")).to_be_hidden()
    expect(page.locator("[data-shade]")).to_be_visible()
    page.screenshot(path=str(tmp_path / "paused.png"))
    page.locator("[data-do=pause]").tap()
    expect(page.locator("body")).to_have_attribute("data-state", "recording")
    page.locator("[data-do=stop]").tap()
    page.get_by_role("button", name="继续录制").tap()
    assert station.snapshot()["session"] is not None, "the wrong click ended nothing"
    page.locator("[data-do=stop]").tap()
    page.get_by_role("button", name="结束录制").tap()
    expect(page.locator("[data-do=stop]")).to_be_disabled()
    assert station.snapshot()["session"] is None


def test_a_whole_session_by_keyboard(page: Page, station: Station) -> None:
    page.keyboard.press("r")
    expect(page.locator("body")).to_have_attribute("data-state", "recording")
    page.keyboard.press("3")
    page.keyboard.press("p")
    page.keyboard.press("p")
    expect(page.locator("body")).to_have_attribute("data-state", "paused")
    expect(page.locator("[data-do=pause]")).to_be_enabled()
    assert station.snapshot()["session"]["paused"], "a key that is tapped twice means one pause"
    page.keyboard.press("p")
    expect(page.locator("body")).to_have_attribute("data-state", "recording")
    page.keyboard.press("d")
    expect(page.locator("[data-do=paper]")).to_have_attribute("aria-pressed", "true")
    told = station.snapshot()["session"]
    assert [each["chapter"] for each in told["chapters"]] == ["ask"]
    page.keyboard.press("s")
    page.keyboard.press("Escape")
    assert station.snapshot()["session"] is not None
    page.keyboard.press("s")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="结束录制").focus()
    page.keyboard.press("Enter")
    until(lambda: station.snapshot()["session"] is None, "the session to end")


def test_the_privacy_pause_works_while_a_question_stands_open(page: Page, station: Station) -> None:
    page.keyboard.press("r")
    expect(page.locator("body")).to_have_attribute("data-state", "recording")
    page.keyboard.press("s")
    expect(page.locator("[data-dialog=stop]")).to_be_visible()
    page.keyboard.press("3")
    page.keyboard.press("p")
    expect(page.locator("body")).to_have_attribute("data-state", "paused")
    assert station.snapshot()["session"]["chapters"] == []


def test_withdrawal_takes_one_tap_and_one_yes(page: Page, station: Station) -> None:
    page.locator("[data-do=start]").tap()
    expect(page.locator("body")).to_have_attribute("data-state", "recording")
    page.get_by_role("button", name="撤回同意").tap()
    page.get_by_role("button", name="撤回并封存").tap()
    until(lambda: station.snapshot()["session"] is None, "the recording to end")


def test_the_page_says_when_its_program_is_gone(browser: Browser, room: Room, station: Station) -> None:
    with room.page(station) as url:
        page = browser.new_page()
        page.goto(url)
        expect(visit(page, "头痛一例")).to_be_visible()
    expect(page.locator("body")).to_have_class(re.compile("lost"), timeout=15_000)
    expect(page.locator("[data-health]")).to_contain_text("没有应答")
    page.close()


def test_with_several_patients_nobody_is_chosen_but_by_a_person_and_the_keys_say_who(
    page: Page, room: Room, station: Station
) -> None:
    expect(page.locator("[data-who]")).to_contain_text("头痛一例")
    plan(room.core, room.people, "失眠一例", (Purpose.RECORD,))
    page.reload()
    page.locator("[data-do=today]").tap()
    expect(visit(page, "失眠一例")).to_be_visible()
    expect(page.locator("[data-who]")).to_have_text("请先在左侧选择患者")
    expect(page.locator("[data-do=start]")).to_be_disabled()
    page.keyboard.press("r")
    assert station.snapshot()["session"] is None
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(page.locator("[data-who]")).to_contain_text("失眠一例")
    expect(page.locator("[data-do=start]")).to_be_enabled()


def test_a_signature_given_just_now_counts_as_soon_as_the_patient_is_chosen(page: Page, room: Room) -> None:
    form = SignedForm((str(Purpose.RECORD),), CONSENT_TEXT, PNG, utc_now())
    actions.sign_consent(room.core, room.people.technician, room.visits["unsigned"], form)
    visit(page, "咳嗽一例").tap()
    expect(page.locator("[data-do=start]")).to_be_enabled()


def test_a_technician_logs_in_on_the_page(page: Page, room: Room, station: Station) -> None:
    station._login._take("", "no longer good")
    station._uploader.renew()
    expect(page.locator("[data-health]")).to_contain_text("登录")
    page.locator("[data-do=login]").tap()
    page.locator("[name=username]").fill(room.people.manager.username)
    page.locator("[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("[data-login-problem]")).to_contain_text("采集员")
    page.locator("[name=username]").fill(room.people.technician.username)
    page.locator("[name=password]").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("[data-dialog=login]")).to_be_hidden()
    expect(page.locator("[data-do=login]")).to_have_text(room.people.technician.name)
    expect(page.locator("[data-health]")).not_to_contain_text("登录")


def test_english_is_complete(page: Page) -> None:
    page.get_by_role("button", name="English").tap()
    expect(page.locator("[data-do=start]")).to_contain_text("Record")
    expect(page.locator("[data-health]")).not_to_have_text("")
    shown = page.locator("body").inner_text()
    assert "station." not in shown
    assert not re.search(
        r"[\u4e00-\u9fff]{2,}",
        shown.replace("头痛一例", "")
        .replace("咳嗽一例", "")
        .replace("示范基地", "")
        .replace("王大夫", "")
        .replace("中文", ""),
    )
