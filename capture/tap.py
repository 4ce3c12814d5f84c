"""What comes out of a recording child beside its segments: pictures, sound, and the time stamps of both.

The thread of a tap reads whatever comes, always, so that the child is never held up; what the station does with it
happens in another thread behind a bounded queue, and is dropped when that thread is behind.
"""

from __future__ import annotations

import os
import queue
import selectors
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import structlog

from capture.clock import DeviceClock
from capture.commands import SOUND_RATE_HZ, is_network
from capture.rig import Camera, Microphone

BLOCK_SAMPLES = SOUND_RATE_HZ // 10
BURST_S = 0.005  # what comes closer together was sent as one
MOST_WAITING = 64
MOST_PICTURE_BYTES = 8 << 20
_READ_BYTES = 1 << 18
_SAMPLE_BYTES = 4
_PICTURE_ENDS = (
    b"\xff\xd9"  # EOI; inside the data of a JPEG picture every ff is followed by 00 (ITU-T T.81, B.1.1.5)
)
_log = structlog.get_logger(__name__)


class Show:
    """Hands what it is given to callbacks, in a thread of its own. A full queue drops, a callback's error is logged."""

    def __init__(self, name: str) -> None:
        self._waiting: queue.Queue[tuple[Callable[..., None], tuple[Any, ...]] | None] = queue.Queue(
            MOST_WAITING
        )
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self.dropped = 0

    def put(self, callback: Callable[..., None], *arguments: Any) -> None:
        try:
            self._waiting.put_nowait((callback, arguments))
        except queue.Full:
            self.dropped += 1

    def close(self) -> None:
        """End the thread once it is through with the callback it is in; one that hangs is left behind."""
        while True:
            try:
                self._waiting.get_nowait()
            except queue.Empty:
                break
        self._waiting.put(None)
        self._thread.join(1.0)

    def _run(self) -> None:
        while (each := self._waiting.get()) is not None:
            callback, arguments = each
            try:
                callback(*arguments)
            except Exception as error:  # noqa: BLE001 - recording goes on whatever it is
                _log.error("callback_failed", thread=self._thread.name, error=repr(error)[:200])


class Tap:
    """Reads one child until its pipes end. ``now_s`` is the session's clock.

    ``share``: how much of a block of sound had passed when it came; 1 for a device, 0 for what is played at the pace of
    its own stamps, and half for a sender we do not know.
    """

    def __init__(
        self,
        device: Camera | Microphone,
        pipes: tuple[int, int],
        clock: DeviceClock,
        now_s: Callable[[], float],
        on_data: Callable[[Any], None],
        share: float,
    ) -> None:
        self._out, self._stamps = pipes
        self._clock, self._now_s, self._on_data, self._share = clock, now_s, on_data, share
        self._is_camera = isinstance(device, Camera)
        self._rest = {self._out: b"", self._stamps: b""}
        self._samples = 0
        self._read_s, self._burst = -1.0, (0.0, 0)
        self._tick_s: float | None = None
        # A picture of a network camera is known to be whole when the next one begins.
        self._held_back = self._is_camera and is_network(device)
        self._came_s: float | None = None  # the picture before
        self.first_s: float | None = None  # media time of the first picture
        self.media_s = 0.0
        self.last_data: float | None = None  # monotonic
        self._thread = threading.Thread(target=self._run, name=f"tap-{device.name}", daemon=True)
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._out, selectors.EVENT_READ, self._shown)
            selector.register(self._stamps, selectors.EVENT_READ, self._stamped)
            while selector.get_map():
                for key, _ in selector.select():
                    data = os.read(key.fd, _READ_BYTES)
                    if not data:
                        selector.unregister(key.fd)
                        os.close(key.fd)
                        continue
                    self.last_data = time.monotonic()
                    try:
                        key.data(data)
                    except Exception as error:  # noqa: BLE001 - a line not understood may not end a recording
                        _log.error("tap_failed", error=repr(error)[:200])

    def _shown(self, data: bytes) -> None:
        if self._is_camera:
            self._pictures(data)
        else:
            self._sound(data)

    def _pictures(self, data: bytes) -> None:
        *whole, rest = (self._rest[self._out] + data).split(_PICTURE_ENDS)
        self._rest[self._out] = rest if len(rest) < MOST_PICTURE_BYTES else b""
        for each in whole:
            self._on_data(each + _PICTURE_ENDS)

    def _sound(self, data: bytes) -> None:
        raw = self._rest[self._out] + data
        count = len(data) // _SAMPLE_BYTES
        now_s = self._now_s()
        if now_s - self._read_s > BURST_S:
            self._burst = (now_s, self._samples)
        self._read_s = now_s
        self._samples += count
        begun_s, first = self._burst
        passed = first + self._share * (self._samples - first)
        self._clock.add(now_s if self._share == 1.0 else begun_s, passed / SOUND_RATE_HZ)
        self.media_s = self._samples / SOUND_RATE_HZ
        size = BLOCK_SAMPLES * _SAMPLE_BYTES
        whole = len(raw) // size * size
        for begin in range(0, whole, size):
            self._on_data(np.frombuffer(raw, "<f4", BLOCK_SAMPLES, begin).astype(np.float32))
        self._rest[self._out] = raw[whole:]

    def _stamped(self, data: bytes) -> None:
        now_s = self._now_s()
        *lines, self._rest[self._stamps] = (self._rest[self._stamps] + data).split(b"\n")
        for line in lines:
            found = self._stamp(line.decode("ascii", "replace").strip())
            if found is None:
                continue
            decoded_s, shown_s = found
            # Senders that play a file keep the pace of decoding times; a live encoder has no others.
            begun_s = self._came_s if self._held_back else now_s
            if begun_s is not None:
                self._clock.add(begun_s, decoded_s)
            self._came_s = now_s
            self.first_s = shown_s if self.first_s is None else self.first_s
            self.media_s = max(self.media_s, shown_s)

    def _stamp(self, line: str) -> tuple[float, float] | None:
        """(decoding, presentation) time in s: a bare number from the encoder, or a line of framecrc."""
        if line.startswith("#tb 0:"):
            above, below = line.partition(":")[2].split("/")
            self._tick_s = int(above) / int(below)
        if not line or line.startswith("#"):
            return None
        fields = line.split(",")
        if len(fields) == 1:
            return float(line), float(line)
        if self._tick_s is None:
            return None
        return int(fields[1]) * self._tick_s, int(fields[2]) * self._tick_s
