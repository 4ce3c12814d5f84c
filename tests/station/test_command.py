"""``yian station`` as a program of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from capture.spool import Spool
from tests.conftest import REPOSITORY, free_port
from tests.station.conftest import RIG, Room, until


class Program:
    """The running station and its page."""

    def __init__(self, room: Room, folder: Path) -> None:
        self.port = free_port()
        (folder / "rig.toml").write_text(RIG)
        capture = room.settings.capture
        told = {
            "YIAN_HOME": str(room.settings.home),
            "YIAN_CAPTURE__CORE_URL": capture.core_url,
            "YIAN_CAPTURE__TOKEN": capture.token.get_secret_value(),
            "YIAN_CAPTURE__SEGMENT_S": "1",
            "YIAN_CAPTURE__DISK_RESERVE_MB": "64",
            "PYTHONPATH": str(REPOSITORY),
        }
        command = [sys.executable, "-m", "api.cli", "station", "rig.toml", "--port", str(self.port)]
        self.process = subprocess.Popen(command, cwd=folder, env=os.environ | told)

    def ask(self, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
            request.add_header("Sec-Fetch-Site", "same-origin")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def is_there(self) -> bool:
        try:
            return bool(self.ask("/state")["today"])
        except OSError:
            return False


@pytest.fixture
def program(room: Room, tmp_path: Path) -> Iterator[Program]:
    running = Program(room, tmp_path)
    yield running
    running.process.kill()
    running.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_closes_the_session_that_runs(
    room: Room, program: Program, number: signal.Signals
) -> None:
    until(program.is_there, "the page")
    local = program.ask("/start", {"consultation": room.visits["signed"], "override": "演示"})["session"]
    until(lambda: program.ask("/state")["session"]["at_s"] > 2.5, "two seconds of recording")
    program.process.send_signal(number)
    assert program.process.wait(20) in (0, 130)
    with Spool(room.settings.home) as spool:
        assert spool.session(local).closed
        assert spool.segments(local)
        assert spool.interrupted() == []


def test_a_second_station_on_the_same_address_takes_no_device_and_says_so(room: Room, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        (tmp_path / "rig.toml").write_text(RIG)
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "api.cli", "station", "rig.toml", "--port", port]
        environment = os.environ | {"YIAN_HOME": str(room.settings.home), "PYTHONPATH": str(REPOSITORY)}
        told = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
    assert told.returncode == 1
    assert f"127.0.0.1:{port}" in told.stdout + told.stderr
    assert "已启动" not in told.stdout
