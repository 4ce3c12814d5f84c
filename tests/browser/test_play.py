"""A trainee in a real browser: logs in, plays a case with captions, and is counted once."""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, expect, sync_playwright

from api import actions
from api.app import create_app
from api.core import Core
from config.errors import ChildTimedOut
from tests.factories import (
    PASSWORD,
    People,
    make_core,
    make_failed_case,
    make_media,
    make_processing_case,
    make_published_case,
    make_reviewable_case,
    make_users,
)

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
TITLE = "失眠一例：从脾胃论治"


def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path is not None:
            return path
    if os.environ.get("CI") == "true":
        pytest.fail("no Chromium on this machine, and CI must have one")
    pytest.skip("no Chromium on this machine")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_media(tmp_path_factory.mktemp("media"))


@pytest.fixture
def core(tmp_path: Path) -> Iterator[Core]:
    core = make_core(tmp_path / "home")
    yield core
    core.close()


@pytest.fixture
def people(core: Core) -> People:
    return make_users(core)


@pytest.fixture
def address(core: Core) -> Iterator[str]:
    """A real server on a free port."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(core.settings, core), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=20)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="zh-CN", viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.set_default_timeout(30_000)
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda told: problems.append(told.text) if told.type == "error" else None)
    yield page
    context.close()
    # Answers that a test provokes, and requests that come after its server has gone, are no problem of the pages.
    assert not [problem for problem in problems if "Failed to load resource" not in problem]


def wait_until(page: Page, expression: str, seconds: float = 30) -> None:
    """Like ``page.wait_for_function``, which our content policy forbids (it evaluates a string in the page)."""
    deadline = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < deadline, expression
        page.wait_for_timeout(50)


def log_in(page: Page, address: str, username: str) -> None:
    page.goto(f"{address}/login")
    page.get_by_label("用户名").fill(username)
    page.get_by_label("密码").fill(PASSWORD)
    page.get_by_role("button", name="登录").click()
    page.wait_for_url(f"{address}/")


def sessions(core: Core, people: People) -> int:
    return actions.counters(core, people.trainee)[0].sessions


def test_a_trainee_plays_a_case_with_captions_and_counts_once(
    page: Page, address: str, core: Core, people: People, media: Path
) -> None:
    make_published_case(core, people, media, TITLE)
    log_in(page, address, "trainee")
    page.get_by_role("link", name=TITLE).click()
    lines = page.locator("#transcript .line")
    expect(lines).to_have_count(3)
    expect(page.locator("#transcript h3")).to_have_text(["带教专家", "患者", "带教专家"])
    expect(lines.nth(1)).to_contain_text("最近睡眠不好，总是很早醒来。")

    page.evaluate("document.getElementById('player').muted = true")
    lines.first.click()
    wait_until(page, "document.getElementById('player').currentTime > 1.5")
    player = page.locator("#player")
    assert player.evaluate("v => v.currentSrc").endswith("master.m3u8")
    assert player.evaluate("v => v.videoWidth") in (160, 320)
    cues = "v => document.getElementById('captions').track"
    assert player.evaluate(f"{cues}.mode") == "showing"
    assert "哪里不舒服" in player.evaluate(f"{cues}.activeCues[0].text".replace("v =>", "() =>"))
    expect(lines.first).to_have_attribute("aria-current", "")

    assert sessions(core, people) == 0
    wait_until(page, "document.getElementById('player').currentTime > 7.5", 60)
    page.evaluate("document.getElementById('player').pause()")
    expect(page.locator("#watch")).to_have_text("已计为一次远程跟诊。")
    assert sessions(core, people) == 1

    page.reload()
    page.evaluate("Object.assign(document.getElementById('player'), {muted: true}).play()")
    wait_until(page, "document.getElementById('player').currentTime > 1")
    page.evaluate("document.getElementById('player').pause()")
    expect(page.locator("#watch")).to_have_text("已计为一次远程跟诊。")
    assert sessions(core, people) == 1


def test_jumping_to_the_end_is_not_watching(
    page: Page, address: str, core: Core, people: People, media: Path
) -> None:
    case = make_published_case(core, people, media, TITLE)
    log_in(page, address, "trainee")
    page.goto(f"{address}/cases/{case.id}")
    page.evaluate("Object.assign(document.getElementById('player'), {muted: true}).play()")
    wait_until(page, "document.getElementById('player').currentTime > 0.5")
    page.evaluate("document.getElementById('player').currentTime = 11")
    wait_until(page, "document.getElementById('player').ended")
    expect(page.locator("#watch")).to_contain_text("已观看")
    assert sessions(core, people) == 0


def test_what_was_watched_without_a_network_is_reported_once_it_is_back(
    page: Page, address: str, core: Core, people: People, media: Path
) -> None:
    case = make_published_case(core, people, media, TITLE)
    log_in(page, address, "trainee")
    page.goto(f"{address}/cases/{case.id}")
    page.route("**/watch", lambda route: route.fulfill(status=503, body=""))
    page.evaluate("Object.assign(document.getElementById('player'), {muted: true}).play()")
    wait_until(page, "document.getElementById('player').currentTime > 7", 60)
    page.evaluate("document.getElementById('player').pause()")
    expect(page.locator("#watch")).to_contain_text("自动补报")
    assert sessions(core, people) == 0
    page.unroute("**/watch")
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(page.locator("#watch")).to_have_text("已计为一次远程跟诊。")
    assert sessions(core, people) == 1


def test_the_mp4_plays_where_the_browser_has_no_hls(
    page: Page, address: str, core: Core, people: People, media: Path
) -> None:
    case = make_published_case(core, people, media, TITLE)
    page.route("**/master.m3u8", lambda route: route.fulfill(status=200, body="", content_type="text/plain"))
    log_in(page, address, "trainee")
    page.goto(f"{address}/cases/{case.id}")
    page.evaluate("Object.assign(document.getElementById('player'), {muted: true}).play()")
    wait_until(page, "document.getElementById('player').currentTime > 0.5")
    assert page.locator("#player").evaluate("v => v.currentSrc").endswith("video.mp4")


def test_no_page_is_wider_than_a_phone(
    page: Page, address: str, core: Core, people: People, media: Path, tmp_path: Path
) -> None:
    """Set TEST_SHOTS to a folder to keep a picture of every page in every role, wide and narrow."""
    reviewable = make_reviewable_case(core, people, media, "颈椎病手法展示前的辨证与病史询问完整记录一例")
    processing = make_processing_case(core, people, "头痛一例")
    failed = make_failed_case(
        core, people, ChildTimedOut(step="faces", detail="21600 s").to_dict(), "胃脘痛一例"
    )
    published = make_published_case(core, people, media, TITLE)
    shots = os.environ.get("TEST_SHOTS")
    visits = {
        "trainee": ["/", f"/cases/{published.id}", "/nothing"],
        "reviewer": ["/", f"/cases/{reviewable.id}", f"/cases/{failed.id}"],
        "technician": [f"/cases/{processing.id}"],
        "manager": ["/", f"/cases/{published.id}"],
    }
    for username, paths in visits.items():
        page.context.clear_cookies()
        for width in (1280, 375):
            page.set_viewport_size({"width": width, "height": 900})
            if width == 1280:
                page.goto(f"{address}/login")
                _shoot(page, shots, f"login-{width}")
                log_in(page, address, username)
            for path in paths:
                page.goto(f"{address}{path}")
                wait_until(page, "document.readyState === 'complete'")
                overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert overflow <= 0, (username, path, width)
                _shoot(page, shots, f"{username}-{paths.index(path)}-{width}")


def _shoot(page: Page, folder: str | None, name: str) -> None:
    if folder is not None:
        page.wait_for_timeout(800)
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)
