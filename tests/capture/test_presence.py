"""What can be known of a device without opening it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from capture.presence import Presence, is_there
from capture.rig import Camera, Microphone


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def camera_at(listener: socket.socket) -> Camera:
    source = f"rtsp://u:hush@127.0.0.1:{listener.getsockname()[1]}/live"
    return Camera(name="desk", role="desk", input="rtsp", source=source)


def test_a_network_camera_is_there_as_long_as_it_lets_one_connect(listener: socket.socket) -> None:
    camera = camera_at(listener)
    assert is_there(camera)
    listener.close()
    assert not is_there(camera)


def test_a_device_without_its_node_is_away_and_what_cannot_be_told_is_there() -> None:
    assert not is_there(Camera(name="a", role="desk", input="v4l2", source="/dev/video-none"))
    assert is_there(Microphone(name="b", role="expert", input="alsa", source="hw:9,0"))


def test_nobody_looks_but_in_a_pause(listener: socket.socket) -> None:
    presence = Presence([camera_at(listener)])
    listener.close()
    assert presence.absent == ()
    presence.watch()
    deadline = time.monotonic() + 10
    while presence.absent != ("desk",):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    presence.rest()
    assert presence.absent == ()
    presence.close()
