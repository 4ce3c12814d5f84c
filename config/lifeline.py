"""Processes that end with the one that started them, even when that was killed outright.

By prctl(2) of Linux; elsewhere nothing happens, and a killed parent can leave children behind.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1  # linux/prctl.h
EXIT_ORPHAN = 75  # sysexits.h EX_TEMPFAIL
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def end_with(parent: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Have the kernel send ``how`` to this process when ``parent``, its parent process, is gone.

    The signal follows the thread that started this process. A parent that died before it could be watched ends
    this process at once.
    """
    if _libc is None:
        return
    _libc.prctl(PR_SET_PDEATHSIG, how)
    if os.getppid() != parent:
        os._exit(EXIT_ORPHAN)


def ended_with_us(how: signal.Signals = signal.SIGKILL) -> Callable[[], None]:
    """For ``preexec_fn`` of a child: it ends when the process that calls this now is gone."""
    parent = os.getpid()
    return lambda: end_with(parent, how)
