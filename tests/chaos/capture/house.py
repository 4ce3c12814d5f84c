"""A house to do violence to: the core and the station as processes of their own, live devices, and the station's page."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx

from api.auth import open_session
from api.core import Core
from archive.models import Recording, RecordingNote, Segment
from archive.terms import Purpose
from tests.chaos.capture.devices import Clock, Device
from tests.chaos.clinic import alive, descendants, until
from tests.conftest import REPOSITORY, free_port
from tests.factories import make_core, make_users
from tests.station.conftest import plan

PATIENCE_S = 60.0
TRACKS = ("desk", "expert", "patient")
RIG = """
[[camera]]
name = "desk"
role = "desk"
input = "rtsp"
codec = "copy"
width = 160
height = 96
fps = 20
source = "{desk}"

[[microphone]]
name = "expert"
role = "expert"
input = "rtsp"
rate_hz = 16000
source = "{expert}"

[[microphone]]
name = "patient"
role = "patient"
input = "rtsp"
rate_hz = 16000
source = "{patient}"
"""


@dataclass
class Program:
    """One of our programs, started again under the same address whenever it was killed."""

    arguments: list[str]
    environment: dict[str, str]
    log: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self.arguments, "--port", str(self.port)],
                cwd=REPOSITORY,
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=log,
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self) -> None:
        until(self._answers, f"an answer from {self.arguments}; see {self.log}", PATIENCE_S)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()[-3000:]
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def children(self) -> list[int]:
        return (
            []
            if self.process is None
            else sorted(each for each in descendants(self.process.pid) if alive(each))
        )


@dataclass
class House:
    """``archive`` looks into what the core keeps; the core itself is a process of its own."""

    archive: Core
    core: Program
    station: Program
    devices: dict[str, Device]
    clock: Clock
    visit: str
    home: Path

    def ask(self, path: str, **told: Any) -> httpx.Response:
        """A key pressed on the station's page."""
        return httpx.post(
            f"{self.station.url}{path}", json=told, headers={"Sec-Fetch-Site": "same-origin"}, timeout=30
        )

    def state(self) -> dict[str, Any]:
        shown: dict[str, Any] = httpx.get(f"{self.station.url}/state", timeout=30).json()
        return shown

    def is_watching(self) -> bool:
        shown = self.state()
        return bool(shown["today"]) and all(each["state"] == "watching" for each in shown["inputs"].values())

    def record(self) -> str:
        """Begin; the session's local id."""
        until(self.is_watching, "the devices and the list of today", PATIENCE_S)
        answer = self.ask("/start", consultation=self.visit, override="混乱试验")
        assert answer.status_code == 200, answer.text
        return str(answer.json()["session"])

    def recorded_s(self) -> dict[str, float]:
        return {name: each["recorded_s"] for name, each in self.state()["inputs"].items()}

    def let_record(self, seconds: float) -> None:
        """Until every input has closed segments of so many seconds since it was last started."""
        until(lambda: min(self.recorded_s().values()) >= seconds, f"{seconds} s of everything", PATIENCE_S)

    def go_on(self, local: str) -> None:
        """Start the station again and continue the session that it is asked about."""
        self.station.start()
        self.station.wait()
        asked = until(lambda: self.state()["interrupted"], "the interrupted session", PATIENCE_S)
        assert [each["local"] for each in asked] == [local]
        answer = self.ask(f"/interrupted/{local}/continue")
        assert answer.status_code == 200, answer.text

    def stop(self) -> None:
        answer = self.ask("/stop")
        assert answer.status_code == 200, answer.text

    def recording(self) -> Recording:
        """As the core has it in full."""

        def complete() -> Recording | None:
            with self.archive.catalog.read() as session:
                kept = session.query(Recording).all()
                return kept[0] if len(kept) == 1 and kept[0].completed_at is not None else None

        found: Recording = until(
            complete, f"the whole recording at the core; see {self.station.log}", PATIENCE_S
        )
        return found

    def segments(self) -> list[Segment]:
        with self.archive.catalog.read() as session:
            return session.query(Segment).order_by(Segment.track, Segment.index).all()

    def notes(self, kind: str) -> list[dict[str, Any]]:
        with self.archive.catalog.read() as session:
            found = session.query(RecordingNote).filter_by(kind=kind).order_by(RecordingNote.at_s)
            return [{"at_s": each.at_s, **each.data} for each in found]


@contextlib.contextmanager
def house(
    folder: Path,
    *,
    home: Path | None = None,
    core_url: Callable[[str], str] = lambda url: url,
    program: tuple[str, ...] = ("-m", "api.cli"),
    drift_ppm: Mapping[str, float] = MappingProxyType({}),
    **capture: Any,
) -> Iterator[House]:
    """``home``: of the station; ``core_url``: what the station takes for the core's address; ``program``: what runs it;
    ``drift_ppm``: how much faster than the host's the clocks of devices run.
    """
    archive = make_core(folder / "core")
    people = make_users(archive)
    visit = plan(archive, people, "头痛一例", (Purpose.RECORD, Purpose.ARCHIVE))
    clock = Clock()
    devices = {
        name: Device(replace(clock, drift_ppm=drift_ppm.get(name, 0.0)), seed)
        for name, seed in zip(TRACKS, (None, 1, 2), strict=True)
    }
    rig = folder / "rig.toml"
    rig.write_text(RIG.format(**{name: device.url for name, device in devices.items()}))
    core = Program(
        ["-m", "api.cli", "serve", "--no-worker"],
        {"YIAN_HOME": str(folder / "core"), "LOG_LEVEL": "WARNING"},
        folder / "core.log",
    )
    told = {"segment_s": 1, "upload_retry_s": 1, "heartbeat_s": 1, "disk_reserve_mb": 64, **capture}
    home = home or folder / "station"
    station = Program(
        [*program, "station", str(rig)],
        {
            "YIAN_HOME": str(home),
            "YIAN_CAPTURE__CORE_URL": core_url(core.url),
            "YIAN_CAPTURE__TOKEN": open_session(archive, people.technician),
            "LOG_LEVEL": "WARNING",
            **{f"YIAN_CAPTURE__{name.upper()}": str(value) for name, value in told.items()},
        },
        folder / "station.log",
    )
    try:
        core.start()
        core.wait()
        station.start()
        station.wait()
        yield House(archive, core, station, devices, clock, visit, home)
    except BaseException:
        print(station.log.read_text()[-20_000:])
        raise
    finally:
        station.end()
        core.end()
        for device in devices.values():
            device.unplug()
        archive.close()


def pause_s(seconds: float) -> None:
    """When a blow strikes is the chance under test, not a wait for luck."""
    time.sleep(seconds)
