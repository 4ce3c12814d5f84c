"""A small but real core over HTTP that can misbehave on demand, and the numbers of the test source."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

FPS, FRAMES = 25, 233  # 9.32 s: the last segment is a short one
RATE_HZ, SAMPLES = 16_000, 148_123

SEGMENT = re.compile(r"/api/recordings/([^/]+)/tracks/([^/]+)/segments/(\d+)")


@dataclass
class SmallCore:
    """The capture protocol over HTTP. ``faults`` are taken one per request: called with (method, path), each
    returns None, "drop", "corrupt", or (status, problem)."""

    url: str = ""
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
        if path.endswith("/segments"):
            listed = [
                {
                    "track": track,
                    "index": index,
                    "sha256": hashlib.sha256(kept).hexdigest(),
                    "size": len(kept),
                }
                for (_, track, index), kept in self.segments.items()
            ]
            return 200, {"segments": listed}
        told = json.loads(body)
        if path.endswith("/complete"):
            for track, facts in told["tracks"].items():
                if len(self.track(track)) != facts["segments"]:
                    return 409, problem("conflict", detail=f"{track}: segments are missing")
            self.completed.append(told)
            return 200, {"case": "case-1", "state": "processing"}
        self.opened.append(told)
        recording = self.recordings.setdefault(headers["Idempotency-Key"], f"rec-{len(self.recordings) + 1}")
        return 201, {"recording": recording}

    def _put(self, key: tuple[str, str, int], headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        expected, found = headers["X-Content-SHA256"], hashlib.sha256(body).hexdigest()
        if expected != found:
            return 422, problem("checksum-mismatch", name=str(key), expected=expected, found=found)
        if key in self.segments:
            return (
                (200, {}) if self.segments[key] == body else (409, problem("already-exists", what="segment"))
            )
        self.segments[key] = body
        self.places[key] = (float(headers["X-Start-S"]), float(headers["X-Duration-S"]))
        return 201, {}


def problem(code: str, **data: Any) -> dict[str, Any]:
    return {"type": "about:blank", "title": code, "code": code, "data": data}
