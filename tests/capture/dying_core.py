"""A real core in a process of its own that kills itself once, at a chosen point of serving a station.

Run as ``python -m tests.capture.dying_core HOME PORT POINT``. It dies at the second time the point is reached, and leaves
``HOME/died`` so that the next one lives.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from api import actions
from api.app import create_app
from api.core import open_core
from archive.vault import Vault
from config.settings import Settings

# Where the process dies: before or after this function of this object.
POINTS: dict[str, tuple[Any, str, bool]] = {
    "opened before the answer": (actions, "open_recording", True),
    "asked before the body is judged": (actions, "require_wanted", True),
    "body arrived": (actions, "put_segment", False),
    "opening the seal": (Vault, "take_over", False),
    "sealed and stored before the commit": (Vault, "take_over", True),
    "committed before the answer": (actions, "put_segment", True),
    "note before the commit": (actions, "add_note", False),
    "note before the answer": (actions, "add_note", True),
    "listing": (actions, "list_segments", True),
    "complete before the commit": (actions, "complete_recording", False),
    "complete before the answer": (actions, "complete_recording", True),
}
ONCE_ONLY = ("opened", "listing", "complete")


def arm(point: str, died: Path) -> None:
    holder, name, after = POINTS[point]
    original: Callable[..., Any] = getattr(holder, name)
    left = [1 if point.startswith(ONCE_ONLY) else 2]

    def deadly(*args: Any, **options: Any) -> Any:
        left[0] -= 1
        answer = original(*args, **options) if after or left[0] else None
        if not left[0]:
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(holder, name, deadly)


def main() -> None:
    import uvicorn

    home, port, point = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    died = home / "died"
    if point in POINTS and not died.exists():
        arm(point, died)
    core = open_core(Settings(home=home))
    uvicorn.run(create_app(core.settings, core), host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main()
