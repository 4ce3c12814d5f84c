"""The core as the station sees it: the capture protocol over HTTP, and its answers as our errors."""

from __future__ import annotations

import hashlib
import re
from typing import Any, Self

import httpx

from capture.recorder import Segment
from capture.rig import redact
from config.errors import (
    ChecksumMismatch,
    Conflict,
    CoreUnreachable,
    Forbidden,
    NotFound,
    NotLoggedIn,
    RequestRejected,
    YianError,
    error_from_dict,
    error_kinds,
)
from config.settings import CaptureSettings

CONNECT_S, ANSWER_S = 5.0, 30.0
_RECORDING_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_BUSY = frozenset({408, 425, 429})


class Core:
    """One connection to the core, as the technician whose token the settings carry.

    Every call raises CoreUnreachable when nothing, or nothing in order, answers (trying again may help), and
    otherwise the error that the core named in its problem. Making one raises NotLoggedIn without a usable token.
    """

    def __init__(self, settings: CaptureSettings) -> None:
        token = settings.token.get_secret_value().strip()
        if not token or not token.isascii() or not token.isprintable():
            raise NotLoggedIn()
        self._url = settings.core_url
        self._client = httpx.Client(
            base_url=settings.core_url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._client.close()

    def open(self, consultation: str, body: dict[str, Any], key: str) -> str:
        """Ask for a recording; its id. The same ``key`` gives the same recording."""
        path = f"/api/consultations/{_quoted(consultation)}/recordings"
        answer = self._call("POST", path, json=body, headers={"Idempotency-Key": key})
        recording = answer.get("recording")
        if not isinstance(recording, str) or not _RECORDING_ID.fullmatch(recording):
            raise self._not_ours("no recording id")
        return recording

    def put(self, recording: str, segment: Segment) -> None:
        """Hand over one segment; returning means the core has its bytes. Raises ChecksumMismatch when the local
        file is no longer what was recorded."""
        try:
            body = segment.path.read_bytes()
        except FileNotFoundError as error:
            raise NotFound(what="segment", id=f"{segment.track}/{segment.path.name}") from error
        found = hashlib.sha256(body).hexdigest()
        if found != segment.sha256:
            name = f"{segment.track}/{segment.path.name}"
            raise ChecksumMismatch(name=name, expected=segment.sha256, found=found)
        headers = {
            "Content-Type": "application/octet-stream",
            "X-Content-SHA256": segment.sha256,
            "X-Start-S": f"{segment.start_s:.6f}",
            "X-Duration-S": f"{segment.duration_s:.6f}",
        }
        path = f"/api/recordings/{recording}/tracks/{segment.track}/segments/{segment.index}"
        try:
            self._call("PUT", path, content=body, headers=headers)
        except (ChecksumMismatch, RequestRejected) as error:
            # It was whole when it left, so it was damaged on its way: another try is worth it.
            raise self._not_ours(str(error)) from error

    def segments(self, recording: str) -> dict[tuple[str, int], str]:
        """(track, index) -> sha256 of everything the core holds."""
        answer = self._call("GET", f"/api/recordings/{recording}/segments")
        try:
            return {(each["track"], int(each["index"])): each["sha256"] for each in answer["segments"]}
        except (KeyError, TypeError, ValueError) as error:
            raise self._not_ours("no list of segments") from error

    def complete(self, recording: str, tracks: dict[str, dict[str, Any]], seconds: float) -> str:
        """Close the recording; the id of its case. Raises Conflict while segments are missing."""
        answer = self._call(
            "POST", f"/api/recordings/{recording}/complete", json={"tracks": tracks, "seconds": seconds}
        )
        if "case" not in answer:
            raise self._not_ours("no case id")
        return str(answer["case"])

    def _call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        try:
            response = self._client.request(method, path, **request)
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise self._not_ours(type(error).__name__) from error
        answer = _json(response)
        if response.is_success:
            return answer
        raise self._refusal(response.status_code, answer)

    def _refusal(self, status: int, problem: dict[str, Any]) -> YianError:
        code = str(problem.get("code", ""))
        if status >= 500 or status in _BUSY or status < 400:
            return self._not_ours(code or f"HTTP {status}")
        data = problem.get("data")
        if code in error_kinds() and code != "internal":
            return error_from_dict({"code": code, "data": data if isinstance(data, dict) else {}})
        detail = str(problem.get("detail") or f"HTTP {status}")
        match status:
            case 401:
                return NotLoggedIn()
            case 403:
                return Forbidden(action=detail)
            case 404:
                return NotFound(what="address", id=detail)
            case 409:
                return Conflict(detail=detail)
        return RequestRejected(problem=detail)

    def _not_ours(self, detail: str) -> CoreUnreachable:
        """What answers is not a core in order, whether nothing, a gateway or a hotel's log-in page: try again."""
        return CoreUnreachable(url=redact(self._url), detail=detail)


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _quoted(part: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.~-]", lambda found: "".join(f"%{b:02X}" for b in found[0].encode()), part)
