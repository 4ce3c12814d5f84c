"""Playlists, segments, captions: a case's pictures and sound, authorised at every single request."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from api import actions
from api.deps import Actor, InCore
from api.doors import Doors
from api.schemas.base import Id
from archive.terms import Role
from config.errors import NotFound

doors = Doors("media")

# What a player needs, and nothing else of the package: consent, reports and transcripts are not served here.
FOLDER = "media"
CONTENT_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".mp4": "video/mp4",
    ".m4s": "video/iso.segment",
    ".m4a": "audio/mp4",
    ".vtt": "text/vtt; charset=utf-8",
    ".jpg": "image/jpeg",
}
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


@doors.get(
    "/api/cases/{id}/media/{path:path}",
    roles=(Role.REVIEWER, Role.EXPERT, Role.TRAINEE, Role.MANAGER),
    summary="A media file of a case, whole or a range of its bytes",
    responses={206: {"description": "The range asked for"}, 416: {"description": "No such range"}},
)
def media(id: Id, path: str, request: Request, actor: Actor, core: InCore) -> Response:
    kind = CONTENT_TYPES.get(PurePosixPath(path).suffix)
    if kind is None:
        raise NotFound(what="file", id=path[:120])
    path = f"{FOLDER}/{path}"
    info, chunks = actions.media_stream(core, actor, id, path)
    wanted = byte_range(request.headers.get("range", ""), info.size)
    headers = {"Accept-Ranges": "bytes"}
    if wanted is None:
        headers["Content-Length"] = str(info.size)
        return StreamingResponse(chunks, media_type=kind, headers=headers)
    start, length = wanted
    if length == 0:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{info.size}"})
    _, chunks = actions.media_stream(core, actor, id, path, start, length)
    headers["Content-Length"] = str(length)
    headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{info.size}"
    return StreamingResponse(chunks, status_code=206, media_type=kind, headers=headers)


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """(start, length) that a Range header asks for; length 0: it lies outside; None: send everything.

    RFC 9110, section 14: a header that is not understood (or asks for several ranges) is ignored.
    """
    asked = _RANGE.fullmatch(header.strip())
    if asked is None or asked.groups() == ("", ""):
        return None
    first, last = asked.groups()
    if not first:
        length = min(int(last), size)
        return size - length, length
    start = int(first)
    end = min(int(last), size - 1) if last else size - 1
    if last and int(last) < start:
        return None
    return start, max(0, end - start + 1)
