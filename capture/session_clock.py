"""Where a session's second 0 lies on the host's monotonic clock, also for a station that was started again.

That clock goes on while a station is down and nobody can set it; it begins anew with each boot. So it is kept with the
name of the boot: after another one only the wall clock can tell how long nothing was recorded.
"""

from __future__ import annotations

import json
import time
from pathlib import Path

from capture.kept_file import keep

CLOCK_FILE = "clock.json"
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")  # Linux, random(4)


def keep_zero(folder: Path, zero: float) -> None:
    """Write it into a session's folder, on the disk when this returns."""
    keep(folder / CLOCK_FILE, json.dumps({"boot": _boot(), "zero": zero}))


def kept_zero(folder: Path) -> float | None:
    """None where it says nothing any more: another boot, or nothing was kept."""
    try:
        told = json.loads((folder / CLOCK_FILE).read_text(encoding="ascii"))
        boot, zero = told["boot"], float(told["zero"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return zero if boot and boot == _boot() and zero <= time.monotonic() else None


def _boot() -> str:
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""
