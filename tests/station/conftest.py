"""A consulting room: a real core, a real station with test sources, its page served, and visits of today."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from api import actions
from api.app import create_app
from api.auth import open_session
from api.core import Core
from api.station.app import create_station_app
from api.station.guard import LOOPBACK
from archive.consent import SignedForm
from archive.models import utc_now
from archive.terms import Kind, Purpose
from capture.rig import Rig, load_rig
from capture.station import Station
from config.settings import Settings
from tests.factories import CONSENT_TEXT, PNG, People, make_core, make_users

RIG = """
[[camera]]
name = "desk"
role = "desk"
input = "test"
width = 320
height = 180
fps = 10
realtime = true

[[microphone]]
name = "expert"
role = "expert"
input = "test"
source = "sine:440"
realtime = true

[[microphone]]
name = "patient"
role = "patient"
input = "test"
source = "sine:660"
realtime = true
"""


def until(condition: Callable[[], Any], what: str, patience_s: float = 30.0) -> Any:
    """The first true answer of ``condition``."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.05)
    pytest.fail(f"waited {patience_s:g} s for: {what}")


@contextmanager
def served(app: FastAPI) -> Iterator[str]:
    """``app`` on a free port; its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until(lambda: server.started, "the server to start")
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@dataclass
class Room:
    """What a test has at hand. ``visits``: ids of today's consultations by what their consent is."""

    core: Core
    people: People
    settings: Settings
    rig: Rig
    core_url: str
    visits: dict[str, str]

    @contextmanager
    def station(self) -> Iterator[Station]:
        with Station(self.rig, self.settings) as station:
            until(lambda: station.today.visits, "the list of today")
            until(lambda: station.snapshot()["inputs"]["desk"]["state"] == "watching", "the devices")
            yield station

    @contextmanager
    def page(self, station: Station) -> Iterator[str]:
        with served(create_station_app(self.settings, station, LOOPBACK)) as url:
            yield url


def station_settings(home: Path, core: Core, people: People, url: str, **capture: Any) -> Settings:
    told = {
        "core_url": url,
        "token": open_session(core, people.technician),
        "segment_s": 1.0,
        "heartbeat_s": 1.0,
        "disk_reserve_mb": 64,
        "upload_retry_s": 1.0,
    }
    return Settings(home=home, capture={**told, **capture})  # type: ignore[arg-type]  # pydantic makes the section


def plan(core: Core, people: People, title: str, purposes: tuple[Purpose, ...]) -> str:
    """A visit of now; signed for ``purposes`` when there are any."""
    made = actions.schedule_consultation(
        core,
        people.technician,
        title=title,
        kind=Kind.CONSULTATION,
        expert_id=people.expert.id,
        scheduled_at=utc_now(),
    )
    if purposes:
        form = SignedForm(tuple(map(str, purposes)), CONSENT_TEXT, PNG, utc_now())
        actions.sign_consent(core, people.technician, made.id, form)
    return made.id


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Room]:
    core = make_core(tmp_path / "core")
    people = make_users(core)
    rig_file = tmp_path / "rig.toml"
    rig_file.write_text(RIG)
    with served(create_app(core.settings, core=core)) as url:
        visits = {
            "signed": plan(core, people, "头痛一例", (Purpose.RECORD, Purpose.ARCHIVE)),
            "unsigned": plan(core, people, "咳嗽一例", ()),
        }
        settings = station_settings(tmp_path / "station", core, people, url)
        yield Room(core, people, settings, load_rig(rig_file), url, visits)
    core.close()
