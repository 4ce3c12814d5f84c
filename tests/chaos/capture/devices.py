"""Network devices that go on whether anybody records them or not: what they send says when it was sent.

One clock for all. Every picture carries its number in its brightness, every sound is noise of which no moment is like
another; after :data:`LOOP_S` both begin anew. The RTP packets travel inside the TCP connection of RTSP (RFC 2326, section
10.12), pictures as whole units of H.264 (RFC 6184, section 5.6), sound as 16-bit samples (RFC 3551, section 4.5.11).
"""

from __future__ import annotations

import base64
import contextlib
import math
import re
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from capture.rig import ffmpeg_binary

LOOP_S = 16
FPS = 20
PICTURES = LOOP_S * FPS
RATE_HZ = 16_000
BLOCK = 320  # samples of one packet: 20 ms
WIDTH, HEIGHT = 160, 96
_VIDEO_HZ = 90_000
_AUD, _SPS, _PPS = 9, 7, 8  # ITU-T H.264, table 7-1
_LINE = re.compile(r"(?i)cseq: *(\d+)")
DARK, STEP_SECOND, STEP_PICTURE = 24, 12, 10


@cache
def film() -> tuple[list[list[bytes]], str]:
    """Every picture of the loop as the units of its H.264, and the parameter sets for the SDP."""
    second = f"{DARK}+{STEP_SECOND}*mod(floor(N/{FPS}),{LOOP_S})"
    picture = f"{DARK}+{STEP_PICTURE}*mod(N,{FPS})"
    source = f"color=black:size={WIDTH}x{HEIGHT}:rate={FPS}:duration={LOOP_S}"
    drawn = f"format=yuv420p,geq=lum='if(lt(X,W/2),{second},{picture})':cb=128:cr=128"
    command = [ffmpeg_binary(), "-loglevel", "error", "-nostdin", "-f", "lavfi", "-i", f"{source},{drawn}"]
    command += ["-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-qp", "12"]
    command += ["-g", str(FPS // 2), "-x264-params", "aud=1:sliced-threads=0:scenecut=0", "-f", "h264", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    units = [each.rstrip(b"\0") for each in raw.split(b"\0\0\1") if each.rstrip(b"\0")]
    pictures: list[list[bytes]] = []
    for unit in units:
        if unit[0] & 31 == _AUD:
            pictures.append([])
        else:
            pictures[-1].append(unit)
    assert len(pictures) == PICTURES
    sets = [next(unit for unit in units if unit[0] & 31 == kind) for kind in (_SPS, _PPS)]
    return pictures, ",".join(base64.b64encode(each).decode() for each in sets)


@cache
def noise(seed: int) -> NDArray[np.int16]:
    """(LOOP_S * RATE_HZ,) samples of one microphone."""
    chance = np.random.default_rng(seed)
    return chance.integers(-3000, 3000, LOOP_S * RATE_HZ, dtype=np.int16)


@dataclass
class Clock:
    """Second 0 of everything that is sent, on the host's monotonic clock, and how much faster this clock runs."""

    zero: float = field(default_factory=time.monotonic)
    drift_ppm: float = 0.0

    @property
    def rate(self) -> float:
        return 1.0 + self.drift_ppm * 1e-6

    def now_s(self) -> float:
        return (time.monotonic() - self.zero) * self.rate

    def wait_until(self, at_s: float) -> None:
        time.sleep(max(0.0, (at_s - self.now_s()) / self.rate))


class Device:
    """One RTSP address; any number may watch. ``seed`` None: a camera."""

    def __init__(self, clock: Clock, seed: int | None) -> None:
        self._clock, self._seed = clock, seed
        self._port = 0
        self._plugged = threading.Event()
        self._listener: socket.socket | None = None
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.plug_in()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self._port}/live"

    def plug_in(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        self._plugged.set()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def unplug(self) -> None:
        """Every connection ends, and there is nobody any more to connect to."""
        self._plugged.clear()
        assert self._listener is not None
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for each in self._open:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._open.add(client)
        with client, contextlib.suppress(OSError), client.makefile("rb") as lines:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while request := list(iter(lambda: lines.readline().strip(), b"")):
                method = request[0].split()[0].decode()
                found = _LINE.search(b"\n".join(request).decode())
                assert found is not None
                client.sendall(self._answer(method, found[1]))
                if method == "PLAY":
                    self._play(client)
        with self._lock:
            self._open.discard(client)

    def _answer(self, method: str, sequence: str) -> bytes:
        heads, body = {"CSeq": sequence, "Session": "1"}, ""
        if method == "OPTIONS":
            heads["Public"] = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"
        elif method == "DESCRIBE":
            body = self._description()
            heads |= {"Content-Type": "application/sdp", "Content-Length": str(len(body))}
        elif method == "SETUP":
            heads["Transport"] = "RTP/AVP/TCP;unicast;interleaved=0-1"
        told = "".join(f"{name}: {value}\r\n" for name, value in heads.items())
        return f"RTSP/1.0 200 OK\r\n{told}\r\n{body}".encode()

    def _description(self) -> str:
        lines = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=room", "c=IN IP4 127.0.0.1", "t=0 0"]
        if self._seed is None:
            lines += ["m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000"]
            lines += [f"a=fmtp:96 packetization-mode=1; sprop-parameter-sets={film()[1]}"]
        else:
            lines += ["m=audio 0 RTP/AVP 96", f"a=rtpmap:96 L16/{RATE_HZ}/1"]
        return "".join(f"{line}\r\n" for line in [*lines, "a=control:track"])

    def _play(self, client: socket.socket) -> None:
        """What was seen and heard before somebody asked for it is gone."""
        sequence = 0
        for stamp, parts in self._moments() if self._seed is None else self._blocks():
            for part in parts:
                last = part is parts[-1]
                head = struct.pack(">BBHII", 0x80, 96 | last << 7, sequence & 0xFFFF, stamp & 0xFFFFFFFF, 7)
                client.sendall(struct.pack(">BBH", 0x24, 0, len(head) + len(part)) + head + part)
                sequence += 1

    def _moments(self) -> Iterator[tuple[int, list[bytes]]]:
        number = math.ceil(self._clock.now_s() * FPS)
        while self._plugged.is_set():
            self._clock.wait_until(number / FPS)
            yield number * _VIDEO_HZ // FPS, film()[0][number % PICTURES]
            number += 1

    def _blocks(self) -> Iterator[tuple[int, list[bytes]]]:
        assert self._seed is not None
        sound, number = noise(self._seed), math.ceil(self._clock.now_s() * RATE_HZ / BLOCK)
        while self._plugged.is_set():
            begin = number * BLOCK
            self._clock.wait_until((begin + BLOCK) / RATE_HZ)  # a block is there when its last sample is
            here = begin % len(sound)
            yield begin, [sound[here : here + BLOCK].astype(">i2").tobytes()]
            number += 1
