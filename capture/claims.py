"""Who works on a session: locks on its folder, which end with their process, however it ends."""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

from config.errors import NotReady

CLAIM_S = 2.0


class Claims:
    """The sessions that this process holds. Safe to use from several threads."""

    def __init__(self, place: Path) -> None:
        """``place``: where every session has its folder."""
        self._place = place
        self._lock = threading.RLock()
        self._held: dict[str, int] = {}

    def take(self, local: str) -> None:
        """Hold the session; holding it already is fine. Raises NotReady (``busy``) while another process does."""
        deadline = time.monotonic() + CLAIM_S
        with self._lock:
            while local not in self._held:
                handle = self._locked(local)
                if handle is not None:
                    self._held[local] = handle
                elif time.monotonic() > deadline:
                    raise NotReady(reason="busy")
                else:
                    time.sleep(0.02)  # another process may only be looking whether somebody holds it

    def drop(self, local: str) -> None:
        with self._lock:
            os.close(self._held.pop(local))

    def drop_all(self) -> None:
        with self._lock:
            for local in list(self._held):
                self.drop(local)

    def holds(self, local: str) -> bool:
        with self._lock:
            return local in self._held

    def is_free(self, local: str) -> bool:
        """Whether no living process, this one or another, holds the session."""
        with self._lock:
            if local in self._held:
                return False
            handle = self._locked(local)
            if handle is not None:
                os.close(handle)
            return handle is not None

    def _locked(self, local: str) -> int | None:
        folder = self._place / local
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle
