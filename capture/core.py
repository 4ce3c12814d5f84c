"""The core as the station sees it: the capture protocol over HTTP, and its answers as our errors."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import httpx

from capture.entries import Erasure, Kept, Note, Withdrawal
from capture.rig import redact
from capture.seal import BaseFacts
from config.digest import CHANGED, FACTS_HEADER, facts_digest
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
CHUNK_BYTES = 16 * 1024
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
        self._client = _client(settings, {"Authorization": f"Bearer {token}"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._client.close()

    def open(self, consultation: str, body: dict[str, Any], key: str) -> str:
        """Ask for a recording; its id. The same ``key`` gives the same recording."""
        path = f"/api/consultations/{_quoted(consultation)}/recordings"
        answer = self._tell("recordings", consultation, path, body, key)
        recording = answer.get("recording")
        if not isinstance(recording, str) or not _RECORDING_ID.fullmatch(recording):
            raise self._not_ours("no recording id")
        return recording

    def put(self, recording: str, kept: Kept, pace: Callable[[int], None] = lambda _size: None) -> None:
        """Hand over one sealed segment; returning means the core has opened it and has its bytes.

        ``pace`` is called with the size of each chunk before it is sent, and may wait. Raises ChecksumMismatch when
        the local file is no longer what was sealed: then nothing is sent.
        """
        _check_whole(kept)
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(kept.sealed_size),
            "X-Sealed-SHA256": kept.sealed_sha256,
            "X-Content-SHA256": kept.sha256,
            "X-Start-S": f"{kept.start_s:.6f}",
            "X-Duration-S": f"{kept.duration_s:.6f}",
        }
        facts = [
            headers[name] for name in ("X-Sealed-SHA256", "X-Content-SHA256", "X-Start-S", "X-Duration-S")
        ]
        headers[FACTS_HEADER] = facts_digest("segment", recording, kept.track, str(kept.index), *facts)
        path = f"/api/recordings/{recording}/tracks/{kept.track}/segments/{kept.index}"
        try:
            answer = self._call("PUT", path, content=_chunks(kept.path, pace), headers=headers)
        except RequestRejected as error:
            # It was whole when it left, so it was damaged on its way: another try is worth it.
            raise self._not_ours(str(error)) from error
        if answer.get("sha256") != kept.sha256:
            raise self._not_ours("no receipt")

    def segments(self, recording: str) -> dict[tuple[str, int], str]:
        """(track, index) -> sha256 of everything the core holds."""
        answer = self._call("GET", f"/api/recordings/{recording}/segments")
        try:
            return {(each["track"], int(each["index"])): each["sha256"] for each in answer["segments"]}
        except (KeyError, TypeError, ValueError) as error:
            raise self._not_ours("no list of segments") from error

    def note(self, recording: str, note: Note) -> None:
        """Tell something that happened; the same note again changes nothing."""
        answer = self._tell("notes", recording, f"/api/recordings/{recording}/notes", asdict(note))
        if answer.get("id") != note.id:
            raise self._not_ours("no receipt")

    def complete(
        self, recording: str, tracks: dict[str, dict[str, Any]], seconds: float, notes: int = 0
    ) -> str:
        """Close the recording; the id of its case. Raises SegmentsMissing while segments, or any of so many notes, are
        not there."""
        told = {"tracks": tracks, "seconds": seconds, "notes": notes}
        answer = self._tell("complete", recording, f"/api/recordings/{recording}/complete", told)
        if "case" not in answer:
            raise self._not_ours("no case id")
        return str(answer["case"])

    def withdraw(self, told: Withdrawal) -> None:
        """Tell that a patient has taken the consent back; telling it again changes nothing."""
        path = f"/api/consultations/{_quoted(told.consultation)}/consent/withdraw"
        if "case" not in self._tell("withdraw", told.consultation, path, {"reason": told.reason}):
            raise self._not_ours("no case id")

    def erased_among(self, consultations: Sequence[str]) -> set[str]:
        """Those of ``consultations`` that a manager has erased: nothing of them may be kept anywhere."""
        answer = self._call("GET", "/api/station/erased", params={"consultation": list(consultations)})
        erased = answer.get("erased")
        if not isinstance(erased, list):
            raise self._not_ours("no list of what is erased")
        return {str(each) for each in erased}

    def confirm_erased(self, told: Erasure, room: str) -> None:
        """Tell that nothing of an erased consultation is left here; telling it again changes nothing."""
        path = f"/api/consultations/{_quoted(told.consultation)}/station-erased"
        body = {"room": room, "sessions": told.sessions, "at": told.at}
        if "case" not in self._tell("station-erased", told.consultation, path, body):
            raise self._not_ours("no case id")

    def me(self) -> dict[str, str]:
        """Whose token this is: ``name`` and ``role`` among others."""
        answer = self._call("GET", "/api/me")
        if not {"name", "role"} <= answer.keys():
            raise self._not_ours("no user")
        return {key: str(value) for key, value in answer.items()}

    def log_out(self) -> None:
        """The token opens nothing any more."""
        self._call("POST", "/api/logout")

    def station(self) -> BaseFacts:
        """Whom this station serves, and the key to seal to."""
        answer = self._call("GET", "/api/station")
        try:
            return BaseFacts(str(answer["base"]), str(answer["zone"]), str(answer["recipient"]))
        except KeyError as error:
            raise self._not_ours("no facts of the base") from error

    def today(self, room: str) -> Any:
        """Today's list of consultations, as plain data."""
        answer = self._call("GET", "/api/station/today", params={"room": room})
        if "visits" not in answer:
            raise self._not_ours("no list of today")
        return answer["visits"]

    def schedule(self, room: str) -> list[dict[str, Any]]:
        """What is planned in a room today: consultation, starts_at, length_s, automatic."""
        answer = self._call("GET", f"/api/rooms/{_quoted(room)}/schedule")
        planned = answer.get("planned")
        if not isinstance(planned, list) or not all(isinstance(each, dict) for each in planned):
            raise self._not_ours("no schedule")
        return planned

    def tell_room(self, room: str, report: dict[str, Any]) -> None:
        """The heartbeat: how the room is."""
        self._call("PUT", f"/api/rooms/{_quoted(room)}/state", json=report)

    def _tell(self, what: str, of: str, path: str, body: dict[str, Any], key: str = "") -> dict[str, Any]:
        """POST ``body`` with a checksum over everything it says."""
        content = json.dumps(body).encode()
        facts = facts_digest(what, of, key, hashlib.sha256(content).hexdigest())
        headers = {"Content-Type": "application/json", FACTS_HEADER: facts}
        if key:
            headers["Idempotency-Key"] = key
        try:
            return self._call("POST", path, content=content, headers=headers)
        except RequestRejected as error:
            if error.data.get("problem") == CHANGED:
                raise self._not_ours(CHANGED) from error
            raise

    def _call(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        return _asked(self._client, self._url, method, path, **request)

    def _not_ours(self, detail: str) -> CoreUnreachable:
        return _not_ours(self._url, detail)


def log_in(settings: CaptureSettings, username: str, password: str) -> str:
    """A token for who proves to be ``username``; it opens the core until its session ends there.

    Raises NotLoggedIn for a wrong name or password, TooManyAttempts, RequestRejected, CoreUnreachable.
    """
    told = {"username": username, "password": password}
    with _client(settings, {}) as client:
        # Too many wrong passwords are a person's to hear of, and no reason to try again.
        answer = _asked(client, settings.core_url, "POST", "/api/login", _BUSY - {429}, json=told)
    token = answer.get("token")
    if not isinstance(token, str):
        raise _not_ours(settings.core_url, "no token")
    return token


def _client(settings: CaptureSettings, headers: dict[str, str]) -> httpx.Client:
    timeout = httpx.Timeout(ANSWER_S, connect=CONNECT_S)
    return httpx.Client(base_url=settings.core_url, headers=headers, timeout=timeout)


def _asked(
    client: httpx.Client, url: str, method: str, path: str, busy: frozenset[int] = _BUSY, **request: Any
) -> dict[str, Any]:
    """``busy``: statuses after which the same request may simply be tried again."""
    try:
        response = client.request(method, path, **request)
    except (httpx.TransportError, httpx.InvalidURL) as error:
        raise _not_ours(url, type(error).__name__) from error
    answer = _json(response)
    if response.is_success:
        return answer
    raise _refusal(url, response.status_code, answer, busy)


def _refusal(url: str, status: int, problem: dict[str, Any], busy: frozenset[int]) -> YianError:
    code, data = str(problem.get("code", "")), problem.get("data")
    told = {"code": code, "data": data if isinstance(data, dict) else {}}
    if status >= 500 or status in busy or status < 400:
        return _not_ours(url, code or f"HTTP {status}")
    if code in error_kinds() and code != "internal":
        return error_from_dict(told)
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


def _not_ours(url: str, detail: str) -> CoreUnreachable:
    """What answers is not a core in order, whether nothing, a gateway or a hotel's log-in page: try again."""
    return CoreUnreachable(url=redact(url), detail=detail)


def _check_whole(kept: Kept) -> None:
    try:
        with kept.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError as error:
        raise NotFound(what="segment", id=kept.name) from error
    if found != kept.sealed_sha256:
        raise ChecksumMismatch(name=kept.name, expected=kept.sealed_sha256, found=found)


def _chunks(path: Path, pace: Callable[[int], None]) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            pace(len(chunk))
            yield chunk


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _quoted(part: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.~-]", lambda found: "".join(f"%{b:02X}" for b in found[0].encode()), part)
