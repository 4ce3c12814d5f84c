"""A small but real core over HTTP that can misbehave on demand, and the numbers of the test source."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyrage
from pyrage import x25519

FPS, FRAMES = 25, 233  # 9.32 s: the last segment is a short one
RATE_HZ, SAMPLES = 16_000, 148_123

SEGMENT = re.compile(r"/api/recordings/([^/]+)/tracks/([^/]+)/segments/(\d+)")


@dataclass
class SmallCore:
    """The capture protocol over HTTP. ``faults`` are taken one per request: called with (method, path), each
    returns None, "drop", "corrupt", or (status, problem)."""

    url: str = ""
    identity: x25519.Identity = field(default_factory=x25519.Identity.generate)
    notes: dict[str, dict[str, Any]] = field(default_factory=dict)  # by id, with "recording"
    withdrawn: list[str] = field(default_factory=list)
    erased: set[str] = field(default_factory=set)
    confirmed: list[tuple[str, int]] = field(default_factory=list)  # of stations: consultation, sessions
    recordings: dict[str, str] = field(default_factory=dict)  # idempotency key -> id
    opened: list[dict[str, Any]] = field(default_factory=list)
    segments: dict[tuple[str, str, int], bytes] = field(default_factory=dict)
    places: dict[tuple[str, str, int], tuple[float, float]] = field(default_factory=dict)
    completed: list[dict[str, Any]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    fault: Callable[[str, str], Any] = lambda _method, _path: None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def track(self, name: str) -> list[bytes]:
        return [body for (_, track, _), body in sorted(self.segments.items()) if track == name]

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        if (found := SEGMENT.fullmatch(path)) and method == "PUT":
            return self._put((found[1], found[2], int(found[3])), headers, body)
        if path == "/api/station":
            recipient = str(self.identity.to_public())
            return 200, {
                "base": "BJ01",
                "name": "base",
                "zone": "Asia/Shanghai",
                "recipient": recipient,
                "user": "t",
            }
        if path.endswith("/segments"):
            listed = [
                {
                    "track": track,
                    "index": index,
                    "sha256": hashlib.sha256(kept).hexdigest(),
                    "size": len(kept),
                }
                for (recording, track, index), kept in self.segments.items()
                if f"/{recording}/" in path
            ]
            return 200, {"segments": listed}
        if path.startswith("/api/station/erased"):
            asked = parse_qs(urlsplit(path).query)["consultation"]
            return 200, {"erased": [each for each in asked if each in self.erased]}
        told = json.loads(body)
        if path.endswith("/station-erased"):
            self.confirmed.append((path.split("/")[3], told["sessions"]))
            return 200, {"case": path.split("/")[3], "state": "withdrawn"}
        if path.endswith("/withdraw"):
            self.withdrawn.append(path.split("/")[3])
            return 200, {"case": path.split("/")[3], "state": "withdrawn"}
        if path.endswith("/notes"):
            self.notes.setdefault(told["id"], {**told, "recording": path.split("/")[3]})
            return 201, told
        if path.endswith("/complete"):
            recording = path.split("/")[3]
            for track, facts in told["tracks"].items():
                have = sum((held, name) == (recording, track) for held, name, _ in self.segments)
                if have != facts["segments"] - len(facts["lost"]):
                    return 409, problem("segments-missing", count=1, first=f"{track}/0")
            if sum(note["recording"] == recording for note in self.notes.values()) < told["notes"]:
                return 409, problem("segments-missing", count=1, first="notes")
            self.completed.append(told)
            return 200, {"case": "case-1", "state": "processing"}
        self.opened.append(told)
        recording = self.recordings.setdefault(headers["Idempotency-Key"], f"rec-{len(self.recordings) + 1}")
        return 201, {"recording": recording}

    def _put(self, key: tuple[str, str, int], headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        if hashlib.sha256(body).hexdigest() != headers["X-Sealed-SHA256"]:
            return 422, problem("request-rejected", problem="the body does not match its checksum")
        body = pyrage.decrypt(body, [self.identity])
        expected, found = headers["X-Content-SHA256"], hashlib.sha256(body).hexdigest()
        if expected != found:
            return 409, problem("checksum-mismatch", name=str(key), expected=expected, found=found)
        receipt = {"track": key[1], "index": key[2], "sha256": found, "size": len(body)}
        if key in self.segments:
            return (
                (200, receipt)
                if self.segments[key] == body
                else (409, problem("already-exists", what="segment"))
            )
        self.segments[key] = body
        self.places[key] = (float(headers["X-Start-S"]), float(headers["X-Duration-S"]))
        return 201, receipt


def problem(code: str, **data: Any) -> dict[str, Any]:
    return {"type": "about:blank", "title": code, "code": code, "data": data}
