"""A source with known frames and samples, and a small but real core that can misbehave on demand."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from capture.rig import ffmpeg_binary
from tests.capture.small_core import FPS, FRAMES, RATE_HZ, SAMPLES, SmallCore


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """H.264 with B-frames and PCM sound in Matroska: 233 frames, 148123 samples."""
    path = tmp_path_factory.mktemp("source") / "source.mkv"
    command = [ffmpeg_binary(), "-hide_banner", "-loglevel", "error"]
    command += ["-f", "lavfi", "-i", f"testsrc2=size=192x108:rate={FPS}", "-f", "lavfi"]
    command += ["-i", f"aevalsrc=0.5*sin(t*t*200):sample_rate={RATE_HZ}", "-frames:v", str(FRAMES)]
    command += ["-af", f"atrim=end_sample={SAMPLES}", "-c:v", "libx264", "-g", "25", "-bf", "2"]
    subprocess.run([*command, "-c:a", "pcm_s16le", str(path)], check=True)
    return path


@pytest.fixture
def core() -> Iterator[SmallCore]:
    small = SmallCore()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with small.lock:
                small.requests.append((self.command, self.path))
                small.tokens.add(self.headers.get("Authorization"))
                fault = small.fault(self.command, self.path)
                if fault == "drop":
                    # Reset, not closed in order: what a cut cable looks like.
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    self.close_connection = True
                    return
                if fault == "corrupt":
                    body = body[:-1] + bytes([body[-1] ^ 1])
                status, told = (
                    fault
                    if isinstance(fault, tuple)
                    else small.answer(self.command, self.path, self.headers, body)
                )
            raw = json.dumps(told).encode() if isinstance(told, dict) else told
            self.send_response(status)
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_GET = do_PUT = do_POST = handle_any

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    small.url = f"http://127.0.0.1:{server.server_port}"
    yield small
    server.shutdown()
    server.server_close()
    thread.join()
