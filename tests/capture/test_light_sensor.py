"""Lux sensors: a real pseudo-terminal, a real HTTP server, and everything that comes out of a broken one."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.light_setup import Light, Sensor
from capture.lighting import check_light
from capture.sensor import lux_in, read_sensor
from config.settings import CaptureSettings


@pytest.mark.parametrize(
    ("text", "lux"),
    [
        ('{"id":"sensor-desk_illuminance","value":812.3,"state":"812 lx"}', 812.3),
        ('{"id":"sensor-desk_illuminance","state":"0.8 klx"}', 800.0),
        ('{"lux": 805}', 805.0),
        ('{"temperature": 21.5, "illuminance": "799.5"}', 799.5),
        ("lux: 801", 801.0),
        ("Illuminance = 801.5 lx", 801.5),
        ("照度: 800", 800.0),
        ("800", 800.0),
        ("799.5 lx", 799.5),
    ],
)
def test_the_usual_lines_are_understood(text: str, lux: float) -> None:
    assert lux_in(text) == pytest.approx(lux)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "boot ok",
        "temperature: 21.5",
        '{"temperature": 800}',
        '{"lux": true}',
        '{"lux": null}',
        '{"lux1": 700, "lux2": 900}',
        '{"id":"x","value":812,"state":"400 lx"}',
        '{"id":"x","value":"NaN","state":"NA"}',
        '{"lux": [800]}',
        "[" * 5000,
        "lux: 8oo",
    ],
)
def test_what_is_no_illuminance_is_not_taken_for_one(text: str) -> None:
    assert lux_in(text) is None


def test_a_named_field_is_found_and_no_other() -> None:
    assert lux_in('{"lux1": 700, "lux2": 900}', "lux2") == 900
    assert lux_in("desk: 801", "desk") == 801
    assert lux_in("door: 801", "desk") is None
    assert lux_in('{"id":"sensor-desk","value":5}', "desk") == 5
    assert lux_in('{"id":"sensor-door","value":5}', "desk") is None


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_any_line_is_a_number_or_nothing(text: str) -> None:
    found = lux_in(text)
    assert found is None or isinstance(found, float)


@contextmanager
def serving(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[Sensor]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield Sensor(kind="http", source=f"http://127.0.0.1:{server.server_port}/sensor/desk", uncertainty=0.05)
    server.shutdown()
    server.server_close()
    thread.join()


def saying(body: bytes, status: int = 200) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def test_a_sensor_over_http_judges_the_room() -> None:
    with serving(saying(b'{"id":"sensor-desk","value":803.1,"state":"803 lx"}')) as sensor:
        assert read_sensor(sensor).lux == pytest.approx(803.1)
        found = check_light(None, Light(sensor=sensor), CaptureSettings())
    assert (found.illuminance.verdict, found.illuminance.source) == ("pass", "sensor")


@pytest.mark.parametrize(
    ("body", "status", "problem"),
    [
        (b"<html>login</html>", 200, "sensor_garbage"),
        (b'{"value": -3, "state": "-3 lx"}', 200, "sensor_garbage"),
        (b'{"value": 9e9}', 200, "sensor_garbage"),
        (b"x" * 200_000, 200, "sensor_garbage"),
        (b'{"value": 800}', 500, "sensor_silent"),
        (b'{"value": 800}', 302, "sensor_silent"),
    ],
)
def test_a_broken_sensor_is_indeterminate_with_its_reason(body: bytes, status: int, problem: str) -> None:
    with serving(saying(body, status)) as sensor:
        found = check_light(None, Light(sensor=sensor), CaptureSettings()).illuminance
    assert (found.verdict, found.reason, found.value) == ("indeterminate", problem, None)


def test_a_sensor_that_never_answers_is_given_up_in_time() -> None:
    ended = threading.Event()
    with serving(lambda _: ended.wait(30) and None) as sensor:
        began = time.monotonic()
        assert read_sensor(sensor, timeout_s=0.5).problem == "sensor_silent"
        assert time.monotonic() - began < 3
        ended.set()
    assert read_sensor(sensor, timeout_s=0.5).problem == "sensor_silent"


def test_a_drop_by_drop_answer_is_given_up_in_time() -> None:
    ended = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not ended.wait(0.05):
            try:
                handler.wfile.write(b" ")
            except OSError:
                return

    with serving(drip) as sensor:
        began = time.monotonic()
        assert read_sensor(sensor, timeout_s=0.5).lux is None
        assert time.monotonic() - began < 3
        ended.set()


@contextmanager
def serial_line(lines: bytes) -> Iterator[Sensor]:
    pty = pytest.importorskip("pty")
    master, slave = pty.openpty()
    ended = threading.Event()

    def talk() -> None:
        while not ended.is_set():
            os.write(master, lines)
            ended.wait(0.05)

    thread = threading.Thread(target=talk, daemon=True)
    thread.start()
    yield Sensor(kind="serial", source=os.ttyname(slave), factor=2.0)
    ended.set()
    thread.join()
    os.close(slave)
    os.close(master)


@pytest.mark.parametrize("lines", [b"lux: 400\r\n", b'x\n{"temperature": 20}\n{"lux": 400}\n'])
def test_a_sensor_over_serial_is_read_line_by_line(lines: bytes) -> None:
    with serial_line(lines) as sensor:
        found = read_sensor(sensor)
    assert (found.lux, found.problem) == (pytest.approx(800), None)


def test_half_a_number_on_a_serial_line_is_never_believed() -> None:
    with serial_line(b"lux: 40") as sensor:
        assert read_sensor(sensor, timeout_s=0.5).problem == "sensor_garbage"


def test_a_serial_device_that_is_not_there_is_silent() -> None:
    gone = Sensor(kind="serial", source="/dev/tty-none")
    assert read_sensor(gone, timeout_s=0.5).problem == "sensor_silent"
