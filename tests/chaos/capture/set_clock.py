"""Runs ``yian`` under a wall clock that somebody sets: ``set_clock.py SHIFT_FILE COMMAND...``; the file holds seconds."""

from __future__ import annotations

import datetime
import runpy
import sys
import time
from pathlib import Path

SHIFT, TRUE_TIME, TRUE_DATETIME = Path(sys.argv[1]), time.time, datetime.datetime


def shift_s() -> float:
    return float(SHIFT.read_text() or 0)


class Shifted(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Shifted:
        return cls.fromtimestamp(TRUE_TIME() + shift_s(), tz)


if __name__ == "__main__":
    sys.path.insert(0, str(Path.cwd()))
    time.time = lambda: TRUE_TIME() + shift_s()
    datetime.datetime = Shifted  # type: ignore[misc]  # for everything that is imported from here on
    sys.argv = ["yian", *sys.argv[2:]]
    runpy.run_module("api.cli", run_name="__main__")
