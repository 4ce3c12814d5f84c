"""A patient signs on a tablet: with a finger, on paper, with a bad network, beside another tablet, an hour late."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from sqlalchemy import update

from api import actions
from api.core import Core
from archive.models import Consent, Consultation, Session, utc_now
from archive.terms import Kind, Purpose, State
from tests.browser.test_play import address, browser, core, log_in, page, people
from tests.factories import PNG, People

__all__ = ["address", "browser", "core", "page", "people"]

SIGN = "确认签署"
# A signature is looked at in a process of its own, which takes seconds to start on a machine that is busy.
expect.set_options(timeout=30_000)


@pytest.fixture
def visit(core: Core, people: People) -> Consultation:
    return plan(core, people)


@pytest.fixture
def tablet(browser: Browser) -> Iterator[BrowserContext]:
    """A ten-inch tablet: touched, and held at arm's length."""
    context = browser.new_context(locale="zh-CN", viewport={"width": 1280, "height": 800}, has_touch=True)
    context.set_default_timeout(30_000)
    yield context
    context.close()


def plan(core: Core, people: People, title: str = "失眠一例", kind: Kind = Kind.CONSULTATION) -> Consultation:
    return actions.schedule_consultation(
        core, people.technician, title=title, kind=kind, expert_id=people.expert.id, scheduled_at=utc_now()
    )


def open_form(page: Page, address: str, visit: Consultation) -> None:
    log_in(page, address, "technician")
    page.goto(f"{address}/consultations/{visit.id}/consent")


def write_name(page: Page) -> None:
    """A stroke like a name, with the mouse."""
    pad = page.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    for start in (0.15, 0.45):
        page.mouse.move(box["x"] + start * box["width"], box["y"] + 0.3 * box["height"])
        page.mouse.down()
        for step in range(1, 8):
            height = 0.3 + 0.4 * (step % 2)
            page.mouse.move(
                box["x"] + (start + 0.03 * step) * box["width"], box["y"] + height * box["height"]
            )
        page.mouse.up()


def touch_name(page: Page) -> None:
    """The same with a finger."""
    pad = page.locator("#pad")
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    assert box is not None
    client = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        told = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in points]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": told})

    touch("touchStart", (0.2, 0.3))
    for step in range(1, 10):
        touch("touchMove", (0.2 + 0.04 * step, 0.3 + 0.35 * (step % 2)))
    touch("touchEnd")


def tick(page: Page, *names: str) -> None:
    for name in names:
        page.locator(f"[name=purposes][value={name}]").check()


def forms(core: Core, visit: Consultation) -> list[Consent]:
    with core.catalog.read() as session:
        return list(session.get_one(Consultation, visit.id).consents)


def shoot(page: Page, name: str) -> None:
    """Set TEST_SHOTS to a folder to keep pictures."""
    if folder := os.environ.get("TEST_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_a_patient_ticks_signs_with_a_finger_and_sees_the_signed_form(
    tablet: BrowserContext, address: str, core: Core, people: People, visit: Consultation
) -> None:
    page = tablet.new_page()
    open_form(page, address, visit)
    assert page.locator("input[type=checkbox]:checked").count() == 0, "nothing is ticked beforehand"
    expect(page.locator("[name=purposes]")).to_have_count(len(Purpose))
    page.get_by_text("录制：用摄像机").tap()
    page.get_by_text("归档教学：").tap()
    touch_name(page)
    shoot(page, "sign-filled-1280")
    page.get_by_role("button", name=SIGN).tap()
    expect(page.locator("#text-hash")).to_be_visible()
    [kept] = forms(core, visit)
    assert kept.purposes == ["record", "archive"]
    shown = page.locator("#text").inner_text()
    assert page.locator("#text").evaluate("e => e.textContent") == kept.text
    assert "☑ 录制：" in shown and "☐ 科研：" in shown
    assert hashlib.sha256(kept.text.encode()).hexdigest() == page.locator("#text-hash").inner_text()
    assert page.locator("#signature").evaluate("async i => (await i.decode(), i.naturalWidth)") > 100
    shoot(page, "signed-1280")


def test_nothing_is_kept_without_a_tick_or_with_a_dot_for_a_signature(
    page: Page, address: str, core: Core, people: People, visit: Consultation
) -> None:
    open_form(page, address, visit)
    page.get_by_role("button", name=SIGN).click()
    expect(page.locator("#problem")).to_contain_text("没有勾选任何用途")
    tick(page, "record")
    page.get_by_role("button", name=SIGN).click()
    expect(page.locator("#problem")).to_contain_text("签名是空的或只有一个点")
    page.locator("#pad").click()
    page.get_by_role("button", name=SIGN).click()
    expect(page.locator("#problem")).to_contain_text("签名是空的或只有一个点")
    write_name(page)
    page.get_by_role("button", name="撤销一笔").click()
    page.get_by_role("button", name="清除重写").click()
    page.get_by_role("button", name=SIGN).click()
    expect(page.locator("#problem")).to_contain_text("签名是空的或只有一个点")
    assert forms(core, visit) == []


def test_a_scanned_form_is_handed_in_by_keyboard_alone(
    page: Page, address: str, core: Core, people: People, visit: Consultation
) -> None:
    open_form(page, address, visit)
    page.locator("[name=purposes]").first.focus()
    page.keyboard.press("Space")
    for _ in range(len(Purpose)):
        page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#pad")).to_be_hidden()
    page.get_by_label("扫描件").set_input_files(
        {"name": "../../form.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.4\n" + bytes(100)}
    )
    page.get_by_role("button", name=SIGN).focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("打开扫描件（PDF）")).to_be_visible()
    [kept] = forms(core, visit)
    assert (kept.purposes, kept.disguise_voice, kept.signature_kind) == (["record"], True, "pdf")


def test_a_double_tap_keeps_one_form(
    page: Page, address: str, core: Core, people: People, visit: Consultation
) -> None:
    open_form(page, address, visit)
    tick(page, "record")
    write_name(page)
    page.evaluate("for (let i = 0; i < 3; i++) document.getElementById('consent').requestSubmit()")
    expect(page.locator("#text-hash")).to_be_visible()
    assert len(forms(core, visit)) == 1


def test_an_answer_that_the_network_swallows_is_told_and_sending_again_keeps_one_form(
    page: Page, address: str, core: Core, people: People, visit: Consultation
) -> None:
    open_form(page, address, visit)
    tick(page, "record", "research")
    write_name(page)

    def swallow(route: Route) -> None:
        assert route.fetch().status == 201
        route.abort("connectionreset")

    page.route("**/consent/form", swallow)
    page.get_by_role("button", name=SIGN).click()
    expect(page.locator("#problem")).to_contain_text("网络中断")
    assert len(forms(core, visit)) == 1
    page.unroute("**/consent/form")
    page.get_by_role("button", name=SIGN).click()
    expect(page.locator("#text-hash")).to_be_visible()
    assert len(forms(core, visit)) == 1


def test_other_ticks_after_a_swallowed_answer_are_not_taken_for_the_first_form(
    page: Page, address: str, core: Core, people: People, visit: Consultation
) -> None:
    open_form(page, address, visit)
    tick(page, "record")
    write_name(page)
    page.route("**/consent/form", lambda route: (route.fetch(), route.abort("connectionreset")))
    page.get_by_role("button", name=SIGN).click()
    expect(page.locator("#problem")).to_contain_text("网络中断")
    page.unroute("**/consent/form")
    tick(page, "research")
    page.get_by_role("button", name=SIGN).click()
    expect(page.locator("#problem")).to_contain_text("本页已有一份内容不同的同意书保存")
    expect(page.get_by_role("link", name="查看当前的同意书")).to_be_visible()
    assert [kept.purposes for kept in forms(core, visit)] == [["record"]]


def test_of_two_tablets_at_once_the_second_is_told_that_the_first_came_first(
    page: Page, tablet: BrowserContext, address: str, core: Core, people: People, visit: Consultation
) -> None:
    open_form(page, address, visit)
    other = tablet.new_page()
    open_form(other, address, visit)
    for one in (page, other):
        tick(one, "record")
        write_name(one)
    page.get_by_role("button", name=SIGN).click()
    expect(page.locator("#text-hash")).to_be_visible()
    other.get_by_role("button", name=SIGN).click()
    expect(other.locator("#problem")).to_contain_text("已有另一份同意书签署")
    assert len(forms(core, visit)) == 1
    other.get_by_role("link", name="查看当前的同意书").click()
    expect(other.locator("#text-hash")).to_be_visible()


def test_a_page_left_open_for_an_hour_keeps_its_signature_through_a_new_log_in(
    page: Page, address: str, core: Core, people: People, visit: Consultation
) -> None:
    open_form(page, address, visit)
    tick(page, "record")
    write_name(page)
    with core.catalog.write() as session:
        session.execute(update(Session).values(expires_at=utc_now() - dt.timedelta(minutes=1)))
    page.get_by_role("button", name=SIGN).click()
    expect(page.locator("#problem")).to_contain_text("登录已过期")
    assert forms(core, visit) == []
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="在新标签页登录").click()
    log_in(opened.value, address, "technician")
    opened.value.close()
    page.get_by_role("button", name=SIGN).click()
    expect(page.locator("#text-hash")).to_be_visible()
    [kept] = forms(core, visit)
    assert utc_now() - kept.signed_at < dt.timedelta(minutes=1), "the time is that of signing, not of opening"


def test_the_printed_form_holds_text_hash_signature_and_time_and_no_buttons(
    page: Page, address: str, core: Core, people: People, visit: Consultation
) -> None:
    open_form(page, address, visit)
    tick(page, "record")
    write_name(page)
    page.get_by_role("button", name=SIGN).click()
    expect(page.locator("#text-hash")).to_be_visible()
    page.emulate_media(media="print")
    for part in ("#text", "#text-hash", "#signature", ".evidence time"):
        expect(page.locator(part)).to_be_visible()
    for control in ("header.top", "#print", "details.withdraw"):
        expect(page.locator(control)).to_be_hidden()
    shoot(page, "signed-print")
    assert len(page.pdf()) > 10_000
    page.emulate_media(media="screen")
    page.evaluate("window.print = () => { document.title = 'printed'; }")
    page.get_by_role("button", name="打印").click()
    expect(page).to_have_title("printed")


def test_the_blank_form_prints_its_whole_text_with_lines_to_sign_on(
    page: Page, address: str, core: Core, people: People, visit: Consultation
) -> None:
    open_form(page, address, visit)
    page.emulate_media(media="print")
    expect(page.get_by_text("科研：")).to_be_visible()
    expect(page.get_by_text("签名：")).to_be_visible()
    expect(page.locator("#pad")).to_be_hidden()
    expect(page.locator("#sign")).to_be_hidden()
    shoot(page, "blank-print")


def test_consent_is_withdrawn_with_one_confirmation_that_says_what_happens(
    page: Page, address: str, core: Core, people: People, visit: Consultation
) -> None:
    open_form(page, address, visit)
    tick(page, "record", "research")
    write_name(page)
    page.get_by_role("button", name=SIGN).click()
    page.get_by_text("撤回知情同意").click()
    expect(page.get_by_text("正在进行的录制立即停止")).to_be_visible()
    page.get_by_role("button", name="立即撤回").click()
    expect(page.get_by_role("status")).to_contain_text("同意已撤回")
    expect(page.locator("#signature")).to_be_visible()
    assert page.locator("#signature").evaluate("async i => (await i.decode(), i.naturalWidth)") > 100
    assert actions.show_case(core, people.technician, visit.id).state is State.WITHDRAWN
    page.context.clear_cookies()
    log_in(page, address, "manager")
    page.get_by_role("link", name="已撤回的医案").click()
    expect(page.get_by_text("等待决定")).to_be_visible()
    page.locator("summary", has_text="依法封存保存").click()
    page.get_by_label("哪条法律、什么理由").fill("医疗纠纷，病历保存期未满")
    page.get_by_label("再次决定的日期").fill((utc_now() + dt.timedelta(days=400)).date().isoformat())
    shoot(page, "withdrawn-1280")
    page.get_by_role("button", name="依法封存保存").click()
    expect(page.get_by_text("医疗纠纷")).to_be_visible()
    expect(page.get_by_text("等待决定")).to_be_hidden()


def test_english_is_complete_on_the_consent_page(
    page: Page, address: str, core: Core, people: People, visit: Consultation
) -> None:
    open_form(page, address, visit)
    page.get_by_role("button", name="English").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Consent to the recording")
    tick(page, "record")
    write_name(page)
    shoot(page, "sign-en-1280")
    page.get_by_role("button", name="Sign", exact=True).click()
    expect(page.locator("#text-hash")).to_be_visible()
    [kept] = forms(core, visit)
    assert kept.language == "en" and "☑ Recording: this consultation" in kept.text


def test_no_page_of_consent_is_wider_than_its_screen(
    page: Page, address: str, core: Core, people: People, visit: Consultation
) -> None:
    talk = plan(core, people, "针刺手法展示：合谷透后溪与留针期间的行针要点", Kind.DEMONSTRATION)
    signed = plan(core, people, "颈椎病手法展示前的辨证与病史询问完整记录一例")
    form = actions.shown_form(core, actions.show_forms(core, people.technician, signed.id)[0], "zh-CN")
    answers = actions.Answers(
        purposes=("record", "archive", "research"),
        disguise_voice=True,
        version=form.version,
        language="zh-CN",
        submission="0123456789abcdef",
        after="",
        signature=b"%PDF-1.4\n" + PNG,
        drawn=False,
    )
    actions.sign_form(core, people.technician, signed.id, answers)
    gone = plan(core, people, "撤回一例")
    actions.sign_form(core, people.technician, gone.id, replace(answers, submission="fedcba9876543210"))
    actions.withdraw_consent(core, people.technician, gone.id, reason="家属不同意")
    log_in(page, address, "manager")
    paths = {
        "today": "/today",
        "sign": f"/consultations/{visit.id}/consent",
        "sign-demonstration": f"/consultations/{talk.id}/consent",
        "signed": f"/consultations/{signed.id}/consent",
        "signed-withdrawn": f"/consultations/{gone.id}/consent",
        "withdrawn": "/withdrawn",
    }
    for width, height in ((1280, 800), (1920, 1080), (375, 812)):
        page.set_viewport_size({"width": width, "height": height})
        for name, path in paths.items():
            page.goto(f"{address}{path}")
            page.wait_for_load_state("networkidle")
            overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
            assert overflow <= 0, (name, width)
            shoot(page, f"{name}-{width}")
