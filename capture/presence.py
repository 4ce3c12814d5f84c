"""Whether devices are there, asked without opening them: in a privacy pause nothing is captured, yet a cable may come off."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from capture.commands import is_network
from capture.rig import Camera, Microphone

EVERY_S = 1.0
ANSWER_S = 1.0
_USUAL_PORT = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}


def is_there(device: Camera | Microphone) -> bool:
    """A network device lets one connect (nothing is asked of it), another has its node; what cannot be told counts as there."""
    if is_network(device):
        return _answers(device.source)
    return device.input not in ("v4l2", "file") or Path(device.source).exists()


def _answers(address: str) -> bool:
    parts = urlsplit(address)
    try:
        port = parts.port or _USUAL_PORT[parts.scheme]
        with socket.create_connection((parts.hostname or "", port), ANSWER_S):
            return True
    except (OSError, ValueError):
        return False


class Presence:
    """Looks every second between :meth:`watch` and :meth:`rest`. Safe to use from several threads."""

    def __init__(self, devices: Sequence[Camera | Microphone]) -> None:
        self._devices = devices
        self._wanted, self._ended = threading.Event(), threading.Event()
        self._absent: tuple[str, ...] = ()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)
        self._thread.start()

    @property
    def absent(self) -> tuple[str, ...]:
        """The names of those that were not there at the last look; nothing while nobody looks."""
        return self._absent if self._wanted.is_set() else ()

    def watch(self) -> None:
        self._absent = ()
        self._wanted.set()

    def rest(self) -> None:
        self._wanted.clear()

    def close(self) -> None:
        self._ended.set()
        self._wanted.set()
        self._thread.join()

    def _run(self) -> None:
        while self._wanted.wait() and not self._ended.is_set():
            self._absent = tuple(each.name for each in self._devices if not is_there(each))
            self._ended.wait(EVERY_S)
