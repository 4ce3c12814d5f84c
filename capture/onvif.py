"""Where an ONVIF camera's picture is: asked of the camera itself, whose answers are not trusted.

The few requests needed of ONVIF Core 2.x and Media ver10: the clock, the media service's address, the profiles, the
stream's address. Log in by WS-Security UsernameToken with a digest (OASIS WSS UsernameToken Profile 1.1, section 3.1),
or HTTP digest where the camera asks for that.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import os
from urllib.parse import quote, unquote, urlsplit, urlunsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import httpx

from config.errors import DeviceFailed

TIMEOUT_S = 5.0
MOST_BYTES = 1_000_000
DEVICE_SERVICE = "/onvif/device_service"

_DEVICE = "http://www.onvif.org/ver10/device/wsdl"
_MEDIA = "http://www.onvif.org/ver10/media/wsdl"
_SCHEMA = "http://www.onvif.org/ver10/schema"
_WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity"
_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_DIGEST = f"{_WSS}-username-token-profile-1.0#PasswordDigest"
_BASE64 = f"{_WSS}-soap-message-security-1.0#Base64Binary"


def stream_address(name: str, address: str) -> str:
    """The RTSP address, with the log-in in it, of the first profile of the camera at ``address``.

    ``address`` is the device service, http://user:password@host[:port][/path][#profile]; ``profile`` is a token or a
    name. Raises DeviceFailed, naming the input ``name``, without the password.
    """
    camera = _Camera(name, address)
    with camera.client:
        camera.set_clock()
        media = camera.media_service()
        profile = camera.profile(media)
        return camera.with_log_in(camera.stream(media, profile))


class _Camera:
    def __init__(self, name: str, address: str) -> None:
        self.name = name
        parts = urlsplit(address)
        self.host, self.wanted = parts.hostname or "", unquote(parts.fragment)
        self.user, self.password = unquote(parts.username or ""), unquote(parts.password or "")
        self.service = urlunsplit(
            (parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/") or DEVICE_SERVICE, "", "")
        )
        self.ahead = dt.timedelta()
        self.client = httpx.Client(
            timeout=TIMEOUT_S,
            follow_redirects=False,
            trust_env=False,
            auth=httpx.DigestAuth(self.user, self.password) if self.user else None,
        )

    def failed(self, detail: str) -> DeviceFailed:
        return DeviceFailed(input=self.name, detail=f"ONVIF: {detail}")

    def set_clock(self) -> None:
        """Learn how far the camera's clock is off: it refuses a log-in that does not seem to be of now."""
        answer = self._ask(
            self.service, f'<GetSystemDateAndTime xmlns="{_DEVICE}"/>', log_in=False, must_answer=False
        )
        utc = answer.find(f".//{{{_SCHEMA}}}UTCDateTime") if answer is not None else None
        if utc is None:
            return
        fields = ("Date/Year", "Date/Month", "Date/Day", "Time/Hour", "Time/Minute", "Time/Second")
        found = [
            utc.findtext("/".join(f"{{{_SCHEMA}}}{part}" for part in each.split("/"))) for each in fields
        ]
        try:
            theirs = dt.datetime(*(int(each or "") for each in found), tzinfo=dt.UTC)  # type: ignore[misc, arg-type]
            self.ahead = theirs - dt.datetime.now(dt.UTC)
        except (ValueError, OverflowError, TypeError):
            self.ahead = dt.timedelta()

    def media_service(self) -> str:
        body = f'<GetCapabilities xmlns="{_DEVICE}"><Category>Media</Category></GetCapabilities>'
        answer = self._ask(self.service, body)
        found = answer.findtext(f".//{{{_SCHEMA}}}Media/{{{_SCHEMA}}}XAddr") if answer is not None else None
        return self._at_the_camera(found, ("http", "https")) if found else self.service

    def profile(self, media: str) -> str:
        answer = self._ask(media, f'<GetProfiles xmlns="{_MEDIA}"/>')
        found: dict[str, str] = {}
        for each in answer.iter(f"{{{_MEDIA}}}Profiles") if answer is not None else ():
            token = each.get("token", "")
            found[token] = each.findtext(f"{{{_SCHEMA}}}Name") or token
        for token, title in found.items():
            if token and self.wanted in ("", token, title):
                return token
        raise self.failed(f"no profile {self.wanted!r} among {sorted(found.values())[:8]}")

    def stream(self, media: str, profile: str) -> str:
        body = (
            f'<GetStreamUri xmlns="{_MEDIA}"><StreamSetup><Stream xmlns="{_SCHEMA}">RTP-Unicast</Stream>'
            f'<Transport xmlns="{_SCHEMA}"><Protocol>RTSP</Protocol></Transport></StreamSetup>'
            f"<ProfileToken>{escape(profile)}</ProfileToken></GetStreamUri>"
        )
        answer = self._ask(media, body)
        found = answer.findtext(f".//{{{_SCHEMA}}}Uri") if answer is not None else None
        if not found:
            raise self.failed("the answer has no stream address")
        return self._at_the_camera(found.strip(), ("rtsp", "rtsps"))

    def with_log_in(self, address: str) -> str:
        if not self.user:
            return address
        parts = urlsplit(address)
        log_in = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return urlunsplit(parts._replace(netloc=f"{log_in}@{parts.netloc}"))

    def _at_the_camera(self, address: str, schemes: tuple[str, ...]) -> str:
        """``address`` on the host we were told: the log-in goes nowhere else, whatever a camera answers (and one behind
        another network answers with an address that cannot be reached)."""
        try:
            parts = urlsplit(address)
            port = parts.port
        except ValueError as error:
            raise self.failed("the answer has no usable address") from error
        if parts.scheme not in schemes or any(sign.isspace() or not sign.isprintable() for sign in address):
            raise self.failed("the answer has no usable address")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return urlunsplit(parts._replace(netloc=f"{host}:{port}" if port else host))

    def _ask(
        self, service: str, body: str, *, log_in: bool = True, must_answer: bool = True
    ) -> ElementTree.Element | None:
        try:
            status, raw = self._post(service, self._envelope(body, log_in=log_in and bool(self.user)))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            if isinstance(error, httpx.TimeoutException):
                raise self.failed("timed out") from None
            raise self.failed("Connection refused or unreachable") from None
        if status in (401, 403) or b"NotAuthorized" in raw:
            if not must_answer:
                return None
            raise self.failed("401 Unauthorized")
        if status >= 300:
            if not must_answer:
                return None
            raise self.failed(f"HTTP {status}")
        return self._parse(raw)

    def _post(self, service: str, envelope: str) -> tuple[int, bytes]:
        headers = {"Content-Type": "application/soap+xml; charset=utf-8"}
        raw = b""
        with self.client.stream("POST", service, content=envelope.encode(), headers=headers) as answer:
            for part in answer.iter_bytes():
                raw += part
                if len(raw) > MOST_BYTES:
                    raise self.failed("the answer is too long")
            return answer.status_code, raw

    def _parse(self, raw: bytes) -> ElementTree.Element:
        try:
            text = raw.decode("utf-8")
            # Entities can make a short answer fill the memory; no SOAP answer has a document type.
            if "<!" in text.replace("<!--", "").replace("<![CDATA[", ""):
                raise self.failed("the answer is no SOAP")
            return ElementTree.fromstring(text)
        except (UnicodeDecodeError, ElementTree.ParseError, ValueError) as error:
            raise self.failed("the answer is no SOAP") from error

    def _envelope(self, body: str, *, log_in: bool) -> str:
        header = f"<s:Header>{self._token()}</s:Header>" if log_in else ""
        return (
            '<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">'
            f"{header}<s:Body>{body}</s:Body></s:Envelope>"
        )

    def _token(self) -> str:
        nonce = os.urandom(16)
        created = (dt.datetime.now(dt.UTC) + self.ahead).strftime("%Y-%m-%dT%H:%M:%SZ")
        # SHA-1 is what the profile prescribes.
        digest = hashlib.sha1(nonce + created.encode() + self.password.encode()).digest()
        return (
            f'<Security xmlns="{_WSSE}-secext-1.0.xsd"><UsernameToken><Username>{escape(self.user)}</Username>'
            f'<Password Type="{_DIGEST}">{base64.b64encode(digest).decode()}</Password>'
            f'<Nonce EncodingType="{_BASE64}">{base64.b64encode(nonce).decode()}</Nonce>'
            f'<Created xmlns="{_WSSE}-utility-1.0.xsd">{created}</Created></UsernameToken></Security>'
        )
