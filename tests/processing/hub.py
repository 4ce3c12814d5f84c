"""A hub of models on this machine, as far as the library that asks it needs one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Hub:
    """A mirror of the hub with one folder as ``own/small``, which wants the token ``hf_mine``."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)


@contextmanager
def hub_with(folder: Path) -> Iterator[Hub]:
    """The mirror while it runs, on this machine; gone afterwards."""
    told = Hub()
    files = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
    commit = "0123456789abcdef0123456789abcdef01234567"

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            told.asked.append(self.path)
            token = self.headers.get("Authorization", "")
            told.tokens.add(token)
            if token != "Bearer hf_mine":
                return self._send(403, b"", {"X-Error-Code": "GatedRepo", "X-Error-Message": "accept first"})
            if self.path.startswith("/api/models/own/small"):
                listing = _tree(files) if "/tree/" in self.path else _repository(files, commit)
                return self._send(200, json.dumps(listing).encode(), {"Content-Type": "application/json"})
            data = files[self.path.split("/", 5)[5]].read_bytes()
            etag = f'"{abs(hash(self.path)):040x}"'
            return self._send(200, data, {"ETag": etag, "X-Repo-Commit": commit, "Accept-Ranges": "none"})

        do_GET = do_HEAD

        def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    told.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _repository(files: Mapping[str, Path], commit: str) -> dict[str, object]:
    return {"id": "own/small", "sha": commit, "siblings": [{"rfilename": name} for name in files]}


def _tree(files: Mapping[str, Path]) -> list[dict[str, object]]:
    return [
        {"type": "file", "path": name, "oid": "0" * 40, "size": path.stat().st_size}
        for name, path in files.items()
    ]
