"""One ffmpeg of the station: it ends with the station, is asked to close its file, and is killed when it does not."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from capture.attention import Attention
from capture.rig import last_words
from capture.sources import Opening
from config.lifeline import ended_with_us

F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)  # Linux
PIPE_BYTES = 1 << 20  # sixteen seconds of sound: a station that is busy for a moment must not hold a child up


class Child:
    """Start it from a thread that lives as long as it: the kernel ends it with the thread that started it.

    ``out`` and ``stamps`` are the reading ends of its standard output and of the pipe for time stamps.
    """

    def __init__(self, command: Callable[[str], Opening], folder: Path | None) -> None:
        self.out, out_end = _pipe()
        self.stamps, stamps_end = _pipe()
        # Unnamed, so that an address in ffmpeg's words is never left on the disk.
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the child is
        self._asked: Attention | None = None
        try:
            opening = command(f"pipe:{stamps_end}")
            with opening.fed() as stdin:
                self._process = subprocess.Popen(
                    opening.arguments,
                    cwd=folder,
                    stdin=stdin,
                    stdout=out_end,
                    stderr=self._complaints,
                    pass_fds=(stamps_end,),
                    start_new_session=True,  # Ctrl-C in the terminal is for the station, which closes its children itself
                    # Orphaned, it would go on filming a patient with nobody to stop it.
                    preexec_fn=ended_with_us(signal.SIGTERM),  # noqa: PLW1509 - it calls prctl, nothing else
                )
        except BaseException:
            self._complaints.close()
            os.close(self.out)
            os.close(self.stamps)
            raise
        finally:
            os.close(out_end)
            os.close(stamps_end)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._process.poll()

    def end(self, patience_s: float) -> None:
        """Ask it once to close its file and end; called again and again, kill it when ``patience_s`` were watched."""
        if self._asked is None:
            self._asked = Attention()
            self._process.send_signal(signal.SIGTERM)
        elif self._asked.look() >= patience_s:
            self._process.kill()

    def last_words(self) -> str:
        """What it complained of, in one line and without secrets; call it once, after its end."""
        with self._complaints:
            self._complaints.seek(0)
            words = last_words(self._complaints.read())
        return words or f"ended with code {self._process.returncode}"


def _pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    try:
        fcntl.fcntl(writing, F_SETPIPE_SZ, PIPE_BYTES)
    except OSError:
        pass  # not Linux, or the user's share of pipe memory is used up: the usual size then
    return reading, writing
