"""The uploader: brings every session to the core, however long that takes; a week without a network is normal.

One background thread, the oldest session first. It never decides about a session whose station died: what is sealed
of it is uploaded, but whether it goes on or is closed is a person's decision.
"""

from __future__ import annotations

import math
import shutil
import threading
import time
from dataclasses import dataclass
from typing import Any

import structlog

from capture.core import Core
from capture.delivery import Delivery
from capture.entries import Session
from capture.erasing import carry_out_decisions
from capture.login import Login
from capture.seal import keep_facts
from capture.spool import Spool
from capture.throttle import Throttle
from config.errors import (
    BaseKeyChanged,
    Conflict,
    ConsentRefused,
    DatabaseUnavailable,
    DiskFull,
    Forbidden,
    InputRejected,
    NotFound,
    NotLoggedIn,
    Unavailable,
    YianError,
)
from config.settings import Settings

GREET_S = 60.0  # how often an idle uploader looks whether the core is there
ASK_AGAIN_S = 3600.0  # how often, at last, a session that was refused or cannot go is tried again
PATIENCE = 3  # failures after which a session lets the others go first
DAY_S = 86_400.0
OURS = (DiskFull, DatabaseUnavailable)  # what goes wrong on this machine
_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class UploadStatus:
    """``online``: the core answered last time. ``problem``: an error as plain data, for the catalogue's words."""

    online: bool
    sending: bool
    waiting_count: int
    waiting_bytes: int
    rate_kbps: float
    problem: dict[str, Any] | None


class Uploader:
    """Starts with :meth:`start`, ends with :meth:`stop`, is told of new work with :meth:`wake` and of another token with
    :meth:`renew`."""

    def __init__(self, settings: Settings, spool: Spool, login: Login | None = None) -> None:
        self._settings, self._spool = settings, spool
        self._login = login or Login(settings)
        self._home = settings.home.resolve()
        self._ended, self._fresh, self._anew = threading.Event(), threading.Event(), threading.Event()
        self._throttle = Throttle(settings.capture, settings.zone, self._ended)
        self._thread: threading.Thread | None = None
        self._deliveries: dict[str, Delivery] = {}
        self._failures: dict[str, int] = {}
        self._shelved: dict[str, float] = {}
        self._online = self._sending = False
        self._greet_due = 0.0
        self._problem: YianError | None = None

    def start(self) -> None:
        self._thread = threading.Thread(target=self._run, name="upload", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the request that is under way; what is not sent yet waits for the next start."""
        self._ended.set()
        self.renew()
        if self._thread is not None:
            self._thread.join()

    def wake(self) -> None:
        """There is something new to do."""
        self._fresh.set()

    def renew(self) -> None:
        """Somebody else is logged in: call the core anew, and at once."""
        self._anew.set()
        self._fresh.set()

    @property
    def is_sending(self) -> bool:
        return self._sending

    def status(self) -> UploadStatus:
        queue = self._spool.queue()
        return UploadStatus(
            online=self._online,
            sending=self._sending,
            waiting_count=queue.count,
            waiting_bytes=queue.bytes,
            rate_kbps=self._throttle.rate_kbps,
            problem=self._problem.to_dict() if self._problem else None,
        )

    def refused(self, consultation: str | None) -> bool:
        """Whether the core does not want what is being recorded of ``consultation`` now: then recording has to end."""
        return consultation is not None and any(
            session.consultation == consultation
            and session.state == "refused"
            and self._spool.is_live(session.local)
            for session in self._spool.unfinished()
        )

    def _run(self) -> None:
        failures = 0
        tidy = False
        while not self._ended.is_set():
            self._deliveries.clear()
            tidy = tidy or self._tidy()
            if self._anew.is_set():
                self._anew.clear()
                self._greet_due = 0.0
            if self._ended.is_set():
                return  # told so before the other was cleared
            try:
                with Core(self._login.settings) as core:
                    while not self._anew.is_set():
                        self._fresh.clear()
                        self._round(core)
                        failures = 0
                        self._fresh.wait(self._rest_s())
            except YianError as error:
                failures += 1
                self._fail(error)
                self._anew.wait(min(2.0 ** min(failures - 1, 16), self._settings.capture.upload_retry_s))
            except Exception:  # noqa: BLE001 - a fault of ours must not end the upload for good
                _log.exception("upload_crashed")
                self._ended.wait(self._settings.capture.upload_retry_s)

    def _tidy(self) -> bool:
        """Seal what a killed station left plain; whether that is done. The upload goes on without: it makes room."""
        try:
            self._spool.tidy()
        except YianError as error:
            _log.warning("tidy_failed", code=error.code)
            return False
        return True

    def _rest_s(self) -> float:
        """How long there may be nothing to do: until the next greeting, or a session's next try."""
        next_s = min(self._shelved.values(), default=math.inf) - time.monotonic()
        return min(GREET_S, max(next_s, 0.05))

    def _fail(self, error: YianError) -> None:
        if self._problem is None or self._problem.code != error.code:
            _log.warning("upload_waits", code=error.code)
        if not isinstance(error, OURS):  # these say nothing about the core
            self._online = not isinstance(error, Unavailable)
        self._problem = error

    def _round(self, core: Core) -> None:
        """Everything there is to do now, with the core that answers. Raises what keeps all of it from going on."""
        self._keep_house()
        greets = time.monotonic() >= self._greet_due
        if greets:
            keep_facts(self._home, core.station())
            self._greet_due = time.monotonic() + GREET_S
            self._online, self._problem = True, None
        self._tell_withdrawals(core)
        if greets:
            carry_out_decisions(core, self._spool, self._settings.capture.room)
        try:
            while not self._ended.is_set():
                # Anew after each step: a withdrawal or an older session comes first at once.
                if not any(self._bring(core, session) for session in self._due()):
                    return
        finally:
            self._sending = False

    def _tell_withdrawals(self, core: Core) -> None:
        for told in self._spool.withdrawals():
            try:
                core.withdraw(told)
            except (NotFound, Conflict, InputRejected) as error:
                self._fail(error)
                continue
            except ConsentRefused:
                # The core has no consent that could be withdrawn, or it is withdrawn already.
                _log.info("nothing_to_withdraw", consultation=told.consultation)
            self._spool.mark_withdrawn(told.consultation)

    def _due(self) -> list[Session]:
        now_s = time.monotonic()
        self._shelved = {local: until_s for local, until_s in self._shelved.items() if until_s > now_s}
        due = [each for each in self._spool.unfinished() if each.local not in self._shelved]
        return sorted(due, key=lambda each: self._failures.get(each.local, 0) // PATIENCE)

    def _bring(self, core: Core, session: Session) -> bool:
        """One step for a session; whether there was one to take. What concerns only this session shelves it."""
        local = session.local
        try:
            if session.state == "refused":
                Delivery(core, self._spool, local).ask_again()
                return True
            if local not in self._deliveries:
                self._deliveries[local] = Delivery(core, self._spool, local, self._throttle.pace)
            delivery = self._deliveries[local]
            self._sending = bool(self._spool.pending(local))
            step = delivery.step()
        except ConsentRefused as error:
            _log.warning("upload_refused", local=local, code=error.code)
            self._spool.refuse(local, error)
            self._shelve(local)
            return False
        except (NotLoggedIn, Forbidden, BaseKeyChanged):
            raise
        except Unavailable:
            self._failures[local] = self._failures.get(local, 0) + 1
            raise
        except (NotFound, Conflict, InputRejected) as error:
            self._spool.blame(local, error)
            self._shelve(local)
            self._fail(error)
            return False
        self._failures.pop(local, None)
        if session.problem is not None:
            self._spool.admit(local)
        self._online = True
        if step == "done":
            self._deliveries.pop(local, None)
            _log.info("session_at_the_core", local=local, recording=session.recording)
        return step == "sent"

    def _shelve(self, local: str) -> None:
        """Let a session wait, longer each time: at first a bad line may have been at fault."""
        self._failures[local] = failures = self._failures.get(local, 0) + 1
        first_s = self._settings.capture.upload_retry_s
        self._shelved[local] = time.monotonic() + min(first_s * 2.0 ** min(failures - 1, 16), ASK_AGAIN_S)
        self._deliveries.pop(local, None)

    def _keep_house(self) -> None:
        """Copies of what the core has go after some days, or when the disk runs low."""
        keep_s = self._settings.capture.keep_local_days * DAY_S
        self._spool.expire(keep_s)
        reserve_bytes = self._settings.capture.disk_reserve_mb * 2**20
        if shutil.disk_usage(self._home).free < 2 * reserve_bytes:
            self._spool.make_room(2 * reserve_bytes)
