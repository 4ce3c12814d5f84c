"""Room on the disk: whether a planned session fits, and how long the disk lasts."""

from __future__ import annotations

import shutil
import time

from capture.rig import Camera, Microphone, Rig
from capture.spool import Spool
from config.errors import DiskFull
from config.settings import Settings

# H.264 and H.265 from cameras and from x264 at its default quality stay below this in a consulting room, where little
# moves: 9.3 Mbit/s at 1080p30.
BITS_PER_PIXEL = 0.15
# FLAC never exceeds the plain samples: two channels of 16 bits.
BITS_PER_SAMPLE = 32
LOOK_EVERY_S = 5.0
DEFAULT_SIZE, DEFAULT_FPS, DEFAULT_RATE_HZ = (1920, 1080), 30.0, 48_000


def space_needed(rig: Rig, planned_s: float, settings: Settings) -> int:
    """Bytes that a session of ``planned_s`` seconds takes at most, with the reserve that must stay free."""
    return int(_bytes_per_s(rig) * planned_s) + _reserve_bytes(settings)


def check_space(rig: Rig, planned_s: float, settings: Settings) -> None:
    """Raises DiskFull (needed_mb, free_mb) when the planned session does not fit, even without the copies of what the
    core has in full."""
    needed = space_needed(rig, planned_s, settings)
    if _free_bytes(settings) < needed:
        with Spool(settings.home.resolve()) as spool:
            spool.make_room(needed)
    free = _free_bytes(settings)
    if free < needed:
        path = str(settings.home.resolve())
        raise DiskFull(path=path, needed_mb=-(-needed // 2**20), free_mb=free // 2**20)


def space_left_s(rig: Rig, settings: Settings) -> float:
    """Seconds that can still be recorded before the reserve is touched; 0 when it is."""
    return max(0.0, (_free_bytes(settings) - _reserve_bytes(settings)) / _bytes_per_s(rig))


class SpaceWatch:
    """How much recording still fits, looked at every few seconds. ``left_s`` is None before the first look."""

    def __init__(self, rig: Rig, settings: Settings) -> None:
        self._rig, self._settings = rig, settings
        self._due = 0.0
        self.left_s: float | None = None

    def is_used_up(self) -> bool:
        """Whether a look that was due found the reserve touched; False where none was due."""
        if time.monotonic() < self._due:
            return False
        self._due = time.monotonic() + LOOK_EVERY_S
        self.left_s = space_left_s(self._rig, self._settings)
        return self.left_s <= 0

    def hurry(self) -> None:
        """Somebody could not write: the next look is due at once."""
        self._due = 0.0


def _bytes_per_s(rig: Rig) -> float:
    return sum(_bits_per_s(each) for each in rig.inputs) / 8


def _bits_per_s(device: Camera | Microphone) -> float:
    if isinstance(device, Microphone):
        return (device.rate_hz or DEFAULT_RATE_HZ) * BITS_PER_SAMPLE
    width, height = device.width or DEFAULT_SIZE[0], device.height or DEFAULT_SIZE[1]
    return width * height * (device.fps or DEFAULT_FPS) * BITS_PER_PIXEL


def _reserve_bytes(settings: Settings) -> int:
    return settings.capture.disk_reserve_mb * 2**20


def _free_bytes(settings: Settings) -> int:
    return shutil.disk_usage(settings.home.resolve()).free
