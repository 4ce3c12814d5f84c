"""Who works at this station: the technician's token for the core, kept so that a restart asks nobody again.

It opens the core for as long as the core's session lasts (a working day), then somebody logs in anew; until then the
station records as ever. The file is the station user's alone, like the spool; logging out forgets it here and there.
"""

from __future__ import annotations

import contextlib
import json
import threading

from pydantic import SecretStr

from capture.core import Core, log_in
from capture.kept_file import keep
from config.errors import Forbidden, YianError
from config.settings import CaptureSettings, Settings

ROLE = "technician"


class Login:
    """The token of whoever logged in last, at first the one of the settings. Safe to use from several threads."""

    def __init__(self, settings: Settings) -> None:
        self._given = settings.capture
        self._path = settings.home.resolve() / "station" / "login.json"
        self._lock = threading.Lock()
        self._name, self._token = "", ""
        self._load()

    @property
    def name(self) -> str:
        """Of the technician; empty where the token came from the settings, or there is none."""
        return self._name

    @property
    def settings(self) -> CaptureSettings:
        """Those of the station with the token that counts now."""
        with self._lock:
            token = self._token
        return self._given.model_copy(update={"token": SecretStr(token)}) if token else self._given

    def log_in(self, username: str, password: str) -> None:
        """Raises NotLoggedIn, TooManyAttempts, CoreUnreachable; Forbidden for who is no technician. Who was logged in
        stays so then."""
        token = log_in(self._given, username, password)
        with Core(self._given.model_copy(update={"token": SecretStr(token)})) as core:
            user = core.me()
            if user["role"] != ROLE:
                core.log_out()
                raise Forbidden(action="station")
        self._take(user["name"], token)

    def log_out(self) -> None:
        """Also with the core away: then its session ends by itself."""
        if self._token:
            with contextlib.suppress(YianError), Core(self.settings) as core:
                core.log_out()
        self._take("", "")

    def _take(self, name: str, token: str) -> None:
        with self._lock:
            self._name, self._token = name, token
            with contextlib.suppress(OSError):  # on a full disk it counts as long as the program runs
                keep(self._path, json.dumps({"name": name, "token": token}))

    def _load(self) -> None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads(self._path.read_text(encoding="utf-8"))
            self._name, self._token = str(told["name"]), str(told["token"])
