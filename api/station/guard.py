"""Who may use the station's page: whoever sits at the station; from elsewhere in the room only with the PIN.

The page listens on this machine alone unless a PIN is set (``capture.station_pin``). Another site that this
browser looks at can neither read (its Host or origin is another one) nor send anything.
"""

from __future__ import annotations

import contextlib
import hmac
import ipaddress
import secrets
import threading
import time
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from api.console import both
from config.errors import SettingsInvalid, TooManyAttempts
from config.settings import Settings

COOKIE = "yian_station"
LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})
SAFE_METHODS = frozenset({"GET", "HEAD"})
OPEN_PATHS = ("/pin", "/static/", "/language")
ATTEMPTS, PAUSE_S = 5, 60.0


class Pin:
    """The PIN and those who have given it; kept in memory only, so a restart asks again."""

    def __init__(self, settings: Settings) -> None:
        self._pin = settings.capture.station_pin.get_secret_value()
        self._lock = threading.Lock()
        self._tokens: set[str] = set()
        self._wrong: list[float] = []

    @property
    def is_needed(self) -> bool:
        return bool(self._pin)

    def exchange(self, given: str) -> str | None:
        """A token for the right PIN, None for a wrong one. Raises TooManyAttempts for a minute after five wrong ones."""
        with self._lock:
            self._wrong = [at for at in self._wrong if time.monotonic() - at < PAUSE_S]
            if len(self._wrong) >= ATTEMPTS:
                raise TooManyAttempts(wait_s=int(PAUSE_S))
            if not hmac.compare_digest(given.encode(), self._pin.encode()):
                self._wrong.append(time.monotonic())
                return None
            token = secrets.token_urlsafe(32)
            self._tokens.add(token)
            return token

    def knows(self, token: str) -> bool:
        with self._lock:
            return not self._pin or token in self._tokens


def check_address(settings: Settings, host: str) -> None:
    """Raises SettingsInvalid when the page would be open to the network without a PIN."""
    if host not in LOOPBACK and not settings.capture.station_pin.get_secret_value():
        raise SettingsInvalid(
            problem="capture.station_pin is needed when the page listens beyond this machine"
        )


class Guard:
    """ASGI middleware in front of everything the station serves."""

    def __init__(self, app: ASGIApp, *, pin: Pin, hosts: frozenset[str]) -> None:
        self.app, self._pin, self._hosts = app, pin, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self.app(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope) -> PlainTextResponse | RedirectResponse | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        # A name that resolves to this machine but is not ours belongs to another site (DNS rebinding).
        asked = urlsplit(f"//{host}").hostname or ""
        if asked not in self._hosts and not _is_own_address(asked, scope):
            return PlainTextResponse(both("station.unknown_host"), status_code=421)
        if scope["method"] not in SAFE_METHODS and not _from_here(headers, host):
            return PlainTextResponse("sent by another site", status_code=403)
        path: str = scope["path"]
        if path.startswith(OPEN_PATHS) or self._pin.knows(HTTPConnection(scope).cookies.get(COOKIE, "")):
            return None
        if path == "/":
            return RedirectResponse("/pin", status_code=303)
        return PlainTextResponse("the PIN is needed", status_code=401)


def _is_own_address(host: str, scope: Scope) -> bool:
    """Whether ``host`` is the number, no name, under which this connection reached us: nobody can rebind that."""
    with contextlib.suppress(ValueError, TypeError):
        return ipaddress.ip_address(host) == ipaddress.ip_address(scope["server"][0])
    return False


def _from_here(headers: Headers, host: str) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == host
