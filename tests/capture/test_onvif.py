"""ONVIF against a small real server that checks the log-in as a camera does, and against hostile answers."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capture.onvif import stream_address
from capture.rig import Camera, Rig
from config.errors import DeviceFailed

PASSWORD = "h@sh/:é&<"
SOAP = (
    '<?xml version="1.0"?><e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl" '
    'xmlns:tt="http://www.onvif.org/ver10/schema"><e:Body>{}</e:Body></e:Envelope>'
)


class SmallCamera:
    """Two profiles behind a digest log-in; its clock is two hours ahead."""

    def __init__(self) -> None:
        self.port = 0
        self.ahead = dt.timedelta(hours=2)
        self.uri = "rtsp://10.9.9.9:8554/live/{}?a=1&amp;b=2"
        self.answer: bytes | None = None
        self.status = 200
        self.asked: list[str] = []

    def handle(self, body: str) -> tuple[int, bytes]:
        found = re.search(r"<s:Body><(\w+)", body)
        assert found
        self.asked.append(found[1])
        if self.answer is not None:
            return self.status, self.answer
        if found[1] == "GetSystemDateAndTime":
            return 200, SOAP.format(self.clock()).encode()
        if not self.knows(body):
            return 400, SOAP.format("<e:Fault><e:Code>ter:NotAuthorized</e:Code></e:Fault>").encode()
        told = {
            "GetCapabilities": f"<tt:Media><tt:XAddr>http://10.9.9.9:{self.port}/onvif/media</tt:XAddr></tt:Media>",
            "GetProfiles": '<trt:Profiles token="p0"><tt:Name>main</tt:Name></trt:Profiles>'
            '<trt:Profiles token="p1"><tt:Name>sub</tt:Name></trt:Profiles>',
            "GetStreamUri": f"<trt:MediaUri><tt:Uri>{self.uri}</tt:Uri></trt:MediaUri>",
        }[found[1]]
        token = re.search(r"<ProfileToken>(\w+)<", body)
        return 200, SOAP.format(told.replace("{}", token[1] if token else "")).encode()

    def clock(self) -> str:
        now = dt.datetime.now(dt.UTC) + self.ahead
        day = f"<tt:Year>{now.year}</tt:Year><tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day>"
        time = f"<tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute><tt:Second>{now.second}</tt:Second>"
        return f"<tt:UTCDateTime><tt:Time>{time}</tt:Time><tt:Date>{day}</tt:Date></tt:UTCDateTime>"

    def knows(self, body: str) -> bool:
        fields = [re.search(rf"<{name}[^>]*>([^<]*)<", body) for name in ("Nonce", "Created", "Password ")]
        if not all(fields):
            return False
        nonce, created, digest = (each[1] for each in fields if each)
        wanted = hashlib.sha1(base64.b64decode(nonce) + created.encode() + PASSWORD.encode()).digest()
        age = dt.datetime.now(dt.UTC) + self.ahead - dt.datetime.fromisoformat(created)
        return base64.b64decode(digest) == wanted and abs(age) < dt.timedelta(seconds=30)


@pytest.fixture(scope="module")
def server() -> Iterator[SmallCamera]:
    camera = SmallCamera()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, raw = camera.handle(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    camera.port = http.server_port
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield camera
    http.shutdown()
    http.server_close()
    thread.join()


@pytest.fixture
def camera(server: SmallCamera) -> SmallCamera:
    fresh = SmallCamera()
    server.__dict__.update(fresh.__dict__ | {"port": server.port})
    return server


def address(camera: SmallCamera, password: str = PASSWORD, more: str = "") -> str:
    return f"http://admin:{quote(password, safe='')}@127.0.0.1:{camera.port}{more}"


def test_the_stream_s_address_is_asked_with_the_camera_s_own_clock_and_gets_the_log_in(
    camera: SmallCamera,
) -> None:
    found = stream_address("room", address(camera))
    assert found == f"rtsp://admin:{quote(PASSWORD, safe='')}@127.0.0.1:8554/live/p0?a=1&b=2"
    assert camera.asked == ["GetSystemDateAndTime", "GetCapabilities", "GetProfiles", "GetStreamUri"]


def test_a_profile_is_chosen_by_name_or_token(camera: SmallCamera) -> None:
    assert "/live/p1" in stream_address("room", address(camera, more="/onvif/device_service#sub"))
    with pytest.raises(DeviceFailed, match=r"no profile 'gone' among \['main', 'sub'\]"):
        stream_address("room", address(camera, more="#gone"))


def test_a_rig_opens_the_camera_by_what_it_answers(camera: SmallCamera) -> None:
    rig = Rig(camera=(Camera(name="room", role="room", input="onvif", source=address(camera)),))
    opened = rig.ffmpeg_input(rig.camera[0])
    assert "@127.0.0.1:8554/live/p0?a=1&b=2'\n" in opened.stdin.decode()
    assert "h%40sh" not in " ".join(opened.arguments)
    assert "h%40sh" not in repr(rig) + str(rig.public_dict())


def test_a_wrong_password_and_a_camera_that_is_not_there_are_told_apart(camera: SmallCamera) -> None:
    with pytest.raises(DeviceFailed, match="401 Unauthorized") as caught:
        stream_address("room", address(camera, "wrong"))
    assert "wrong" not in str(caught.value)
    with pytest.raises(DeviceFailed, match="unreachable"):
        stream_address("room", "http://admin:x@127.0.0.1:9")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"<html>hello",
        b"\xff\xfe<",
        b"x" * 1_100_000,
        b'<!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>',
        SOAP.format("").encode(),
    ],
)
def test_an_answer_that_is_no_soap_is_refused(camera: SmallCamera, answer: bytes) -> None:
    camera.answer = answer
    with pytest.raises(DeviceFailed):
        stream_address("room", address(camera))


@pytest.mark.parametrize(
    "uri", ["file:///etc/passwd", "http://127.0.0.1/", "rtsp://[", "rtsp://h/a b", "-i x", ""]
)
def test_a_camera_cannot_send_ffmpeg_elsewhere(camera: SmallCamera, uri: str) -> None:
    camera.uri = uri
    with pytest.raises(DeviceFailed, match="address"):
        stream_address("room", address(camera))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=st.binary(max_size=300), status=st.sampled_from([200, 302, 401, 404, 500]))
def test_any_answer_is_a_failure_of_the_device_and_nothing_else(
    camera: SmallCamera, answer: bytes, status: int
) -> None:
    camera.answer, camera.status = answer, status
    with pytest.raises(DeviceFailed):
        stream_address("room", address(camera))
