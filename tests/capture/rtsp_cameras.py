"""A room with one camera and one microphone, each behind an RTSP address of its own.

One ffmpeg flashes and beeps at the same moments and sends picture and sound as RTP; a small RTSP server for each hands
the packets on inside its TCP connection (RFC 2326, section 10.12), as network cameras do.
"""

from __future__ import annotations

import contextlib
import re
import socket
import socketserver
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from capture.rig import ffmpeg_binary

PERIOD_S = 2.0
FPS = 25
_LINE = re.compile(r"(\w+): *(.*)")


def sender(folder: Path, video_port: int, audio_port: int) -> subprocess.Popen[bytes]:
    """Flash and beep for 40 ms every two seconds; its SDP goes to ``folder``."""
    now = f"lt(mod(t,{PERIOD_S:g}),0.04)"
    picture = f"color=black:size=320x180:rate={FPS},drawbox=color=white:t=fill:enable='{now}'"
    sound = f"aevalsrc='0.8*sin(2*PI*1000*t)*{now}':sample_rate=16000:nb_samples=160"
    command = [ffmpeg_binary(), "-loglevel", "error", "-nostdin", "-y"]
    command += ["-re", "-f", "lavfi", "-i", picture, "-re", "-f", "lavfi", "-i", sound]
    command += [
        "-map",
        "0:v",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "zerolatency",
        "-g",
        str(FPS),
    ]
    command += ["-f", "rtp", f"rtp://127.0.0.1:{video_port}", "-map", "1:a", "-c:a", "pcm_s16be", "-f", "rtp"]
    command += [f"rtp://127.0.0.1:{audio_port}", "-sdp_file", str(folder / "room.sdp")]
    return subprocess.Popen(command)


class RtspServer(socketserver.ThreadingTCPServer):
    """Plays the RTP packets that come to ``port`` to one client at a time. ``late_s``: before it answers at all."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, late_s: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.packets = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.packets.bind(("127.0.0.1", 0))
        self.port: int = self.packets.getsockname()[1]
        self.url = f"rtsp://admin:hush@127.0.0.1:{self.server_address[1]}/live"
        self.sdp = ""
        self.late_s = late_s
        self.silent = threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


class _Connection(socketserver.StreamRequestHandler):
    server: RtspServer

    def handle(self) -> None:
        time.sleep(self.server.late_s)  # the misbehaviour under test, not a wait for luck
        with contextlib.suppress(OSError):
            while (request := self._request()) is not None:
                self._answer(*request)

    def _request(self) -> tuple[str, str] | None:
        lines = []
        while (line := self.rfile.readline().decode().strip()) or not lines:
            if not line:
                return None
            lines.append(line)
        heads = dict(
            found.groups() for each in lines[1:] if (found := _LINE.match(each.replace("CSeq", "cseq")))
        )
        return lines[0].split()[0], heads["cseq"]

    def _answer(self, method: str, sequence: str) -> None:
        heads, body = {"CSeq": sequence, "Session": "1"}, ""
        if method == "OPTIONS":
            heads["Public"] = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN"
        elif method == "DESCRIBE":
            body = self.server.sdp
            heads |= {"Content-Type": "application/sdp", "Content-Length": str(len(body))}
        elif method == "SETUP":
            heads["Transport"] = "RTP/AVP/TCP;unicast;interleaved=0-1"
        told = "".join(f"{name}: {value}\r\n" for name, value in heads.items())
        self.wfile.write(f"RTSP/1.0 200 OK\r\n{told}\r\n{body}".encode())
        if method == "PLAY":
            self._play()

    def _play(self) -> None:
        packets = self.server.packets
        packets.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:  # a camera sends what it sees now
                packets.recv(65536)
        packets.settimeout(0.2)
        while True:
            with contextlib.suppress(TimeoutError):
                packet = packets.recv(65536)
                if not self.server.silent.is_set():
                    self.connection.sendall(struct.pack(">BBH", 0x24, 0, len(packet)) + packet)


@contextlib.contextmanager
def room(folder: Path, *, sound_late_s: float) -> Iterator[tuple[RtspServer, RtspServer]]:
    """The servers of the camera and of the microphone; ``folder`` is made for what they send."""
    folder.mkdir()
    video, audio = RtspServer(), RtspServer(sound_late_s)
    child = sender(folder, video.port, audio.port)
    try:
        deadline = time.monotonic() + 10
        while "m=audio" not in (told := _told(folder / "room.sdp")) or not told.endswith("\n"):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        session, *media = re.split(r"(?m)^(?=m=)", told)
        for server, each in zip((video, audio), media, strict=True):
            server.sdp = (session + each).replace("\r\n", "\n").replace("\n", "\r\n") + "a=control:track\r\n"
        yield video, audio
    finally:
        child.kill()
        child.wait()
        for server in (video, audio):
            server.shutdown()
            server.server_close()


def _told(path: Path) -> str:
    return path.read_text() if path.exists() else ""
