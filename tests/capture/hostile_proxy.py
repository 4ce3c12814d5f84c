"""A TCP proxy in front of a core that does, by the script of a seed, everything a bad line does."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

FAULTS = ("drop-up", "drop-down", "stall", "corrupt-up", "corrupt-down", "replay", "502", "portal")
PORTAL = b"<html>hotel log-in: yes, yes</html>"
AFTERLIFE_BYTES = 4000
LINGER_NOT = struct.pack("ii", 1, 0)


@dataclass
class HostileProxy:
    """Each of the first ``faults`` connections meets a fault somewhere in its first ``reach_bytes``; later ones none.

    ``met`` counts what was done. A replay sends whole an old connection's bytes before the new ones are let through.
    """

    target: tuple[str, int]
    seed: int
    faults: int = 40
    reach_bytes: int = 20_000
    met: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._ended = threading.Event()
        self._old: list[bytes] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._listener.close()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                fault = self._random.choice(FAULTS) if sum(self.met.values()) < self.faults else "none"
                place = self._random.randrange(1, self.reach_bytes)
                self.met[fault] += 1
            threading.Thread(target=self._serve, args=(client, fault, place), daemon=True).start()

    def _serve(self, client: socket.socket, fault: str, place: int) -> None:
        with client, contextlib.suppress(OSError):
            if fault in ("502", "portal"):
                client.recv(65_536)
                status = b"502 Bad Gateway" if fault == "502" else b"200 OK"
                length = str(len(PORTAL)).encode()
                client.sendall(
                    b"HTTP/1.1 " + status + b"\r\nContent-Length: " + length + b"\r\n\r\n" + PORTAL
                )
                return
            if fault == "replay":
                self._replay()
            with socket.create_connection(self.target) as core:
                down = threading.Thread(
                    target=self._relay, args=(core, client, "down", fault, place), daemon=True
                )
                down.start()
                self._relay(client, core, "up", fault, place)
                down.join(10)

    def _replay(self) -> None:
        with self._lock:
            old = self._random.choice(self._old) if self._old else b""
        with socket.create_connection(self.target, timeout=5) as core, contextlib.suppress(OSError):
            core.sendall(old)
            core.shutdown(socket.SHUT_WR)
            while core.recv(65_536):
                pass

    def _relay(self, source: socket.socket, sink: socket.socket, way: str, fault: str, place: int) -> None:
        passed = bytearray()
        # A core's answers are short: a fault on that way comes early.
        place = place if way == "up" else place % 400
        try:
            while data := source.recv(16_384):
                begin, end = len(passed), len(passed) + len(data)
                passed += data
                if (
                    fault in (f"drop-{way}", f"corrupt-{way}", "stall" if way == "up" else "")
                    and begin <= place < end
                ):
                    if fault == "stall":
                        sink.sendall(data[: place - begin])
                        self._ended.wait(3)  # longer than the station's patience
                        return
                    if fault.startswith("drop"):
                        sink.sendall(data[: place - begin])
                        for each in (source, sink):
                            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
                            each.close()
                        return
                    data = bytes(
                        [*data[: place - begin], data[place - begin] ^ 0x11, *data[place - begin + 1 :]]
                    )
                sink.sendall(data)
                if fault != "none" and way == "up" and end > place + AFTERLIFE_BYTES:
                    return  # so that the next connection may meet something else
        except OSError:
            pass
        finally:
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_WR)
            if way == "up" and fault in ("none", "replay", "drop-down"):
                with self._lock:
                    self._old.append(bytes(passed))
