"""The newest pictures of the cameras: for the page to show, and for the light check to measure."""

from __future__ import annotations

import io
import threading
import time
from collections import deque

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

KEPT = 3
# Older pictures say nothing about now.
STALE_S = 5.0


class Preview:
    """Holds the last few JPEGs of every camera in memory, never on disk. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._pictures: dict[str, deque[tuple[float, bytes]]] = {}
        self._numbers: dict[str, int] = {}
        self._covered = False

    def take(self, camera: str, jpeg: bytes) -> None:
        with self._lock:
            if self._covered:
                return
            self._pictures.setdefault(camera, deque(maxlen=KEPT)).append((time.monotonic(), jpeg))
            self._numbers[camera] = self._numbers.get(camera, 0) + 1

    def cover(self) -> None:
        """Forget every picture, and take none, also of those still on their way: nobody is to be seen any more."""
        with self._lock:
            self._covered = True
            self._pictures.clear()

    def uncover(self) -> None:
        """Take pictures again."""
        with self._lock:
            self._covered = False

    def newest(self, camera: str) -> bytes | None:
        """The last JPEG, unless it is too old to be called live."""
        fresh = self._fresh(camera)
        return fresh[-1] if fresh else None

    def numbers(self) -> dict[str, int]:
        """How many pictures each camera that is seen now has given, so that a page knows when there is a new one."""
        with self._lock:
            return {camera: number for camera, number in self._numbers.items() if self._fresh(camera)}

    def frames(self, camera: str) -> NDArray[np.uint8] | None:
        """The last pictures as RGB (n, h, w, 3), n <= 3, all of the newest one's size; None without any."""
        pictures = []
        for jpeg in self._fresh(camera):
            try:
                with Image.open(io.BytesIO(jpeg), formats=("JPEG",)) as picture:
                    pictures.append(np.asarray(picture.convert("RGB"), np.uint8))
            except (UnidentifiedImageError, OSError):
                continue
        same = [picture for picture in pictures if picture.shape == pictures[-1].shape]
        return np.stack(same) if same else None

    def _fresh(self, camera: str) -> list[bytes]:
        oldest = time.monotonic() - STALE_S
        with self._lock:
            return [jpeg for at, jpeg in self._pictures.get(camera, ()) if at >= oldest]
