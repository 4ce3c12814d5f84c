"""What a capture station sends: recordings, segment by segment, each with its checksum."""

from __future__ import annotations

import contextlib
import hashlib
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from fastapi import Depends, Header, HTTPException, Request, Response
from starlette.concurrency import run_in_threadpool

from api import actions
from api.actions.desk import STAFF
from api.deps import Actor, InCore
from api.doors import Doors
from api.schemas.base import Id, Seconds, TrackName
from api.schemas.cases import CaseState
from api.schemas.recordings import (
    CompleteRequest,
    NoteAnswer,
    NoteRequest,
    NotesAnswer,
    RecordingAnswer,
    RecordingRequest,
    SegmentAnswer,
    SegmentsAnswer,
    StationAnswer,
)
from archive.store import disk_full_is_named
from archive.terms import Role
from config.digest import CHANGED, FACTS_HEADER, facts_digest
from config.errors import RequestRejected

doors = Doors("recordings")

# Another process may still be writing a younger one.
ABANDONED_S = 3600

TECHNICIAN = (Role.TECHNICIAN,)
SEGMENT_FACTS = ("X-Sealed-SHA256", "X-Content-SHA256", "X-Start-S", "X-Duration-S")
HEX = r"^[0-9a-fA-F]{64}$"
Sha256 = Annotated[str, Header(alias="X-Content-SHA256", pattern=HEX)]
FactsSha256 = Annotated[str | None, Header(alias=FACTS_HEADER, pattern=HEX)]
SealedSha256 = Annotated[str, Header(alias="X-Sealed-SHA256", pattern=HEX)]


def check_facts(told: str | None, *facts: str) -> None:
    """Raises RequestRejected where a request is not what its sender made of it. One that tells no checksum passes."""
    if told is not None and told.lower() != facts_digest(*facts):
        raise RequestRejected(problem=CHANGED)


async def intact(
    request: Request,
    told: FactsSha256 = None,
    idempotency_key: Annotated[str | None, Header(max_length=64)] = None,
) -> None:
    """See to it that a JSON request is what its sender made of it."""
    what = request.scope["route"].path.rpartition("/")[2]
    body = hashlib.sha256(await request.body()).hexdigest()
    check_facts(told, what, request.path_params["id"], idempotency_key or "", body)


INTACT = [Depends(intact)]


@doors.get("/api/station", roles=TECHNICIAN, summary="Whom a station serves, and the key to seal to")
def station(actor: Actor, core: InCore) -> StationAnswer:
    site = core.settings.base
    return StationAnswer(
        base=site.code,
        name=site.name,
        zone=site.timezone,
        recipient=core.vault.recipient,
        user=actor.username,
    )


@doors.post(
    "/api/consultations/{id}/recordings",
    roles=TECHNICIAN,
    summary="Open a recording; refused without a valid consent",
    status_code=201,
    dependencies=INTACT,
)
def open_recording(
    id: Id,
    asked: RecordingRequest,
    actor: Actor,
    core: InCore,
    idempotency_key: Annotated[str | None, Header(max_length=64)] = None,
) -> RecordingAnswer:
    recording = actions.open_recording(
        core,
        actor,
        id,
        rig=asked.rig,
        light=asked.light,
        started_at=asked.started_at,
        idempotency_key=idempotency_key,
    )
    return RecordingAnswer(recording=recording.id)


@doors.put(
    "/api/recordings/{id}/tracks/{track}/segments/{index}",
    roles=TECHNICIAN,
    summary="Send one segment; repeating it is safe",
    status_code=201,
    body_bytes=None,
    responses={200: {"description": "The same bytes were there already"}},
)
async def put_segment(
    id: Id,
    track: TrackName,
    index: int,
    request: Request,
    response: Response,
    actor: Actor,
    core: InCore,
    sha256: Sha256,
    sealed_sha256: SealedSha256,
    start_s: Annotated[Seconds, Header(alias="X-Start-S")],
    duration_s: Annotated[Seconds, Header(alias="X-Duration-S")],
    facts: FactsSha256 = None,
) -> SegmentAnswer:
    """The body is sealed to the base's key (``X-Sealed-SHA256`` is its checksum, ``X-Content-SHA256`` that of what was
    recorded): nothing plain crosses the network, whatever stands between a station and the core."""
    if not 0 <= index < 100_000:
        raise RequestRejected(problem="the index of a segment lies between 0 and 99999")
    told = [request.headers.get(name, "") for name in SEGMENT_FACTS]
    check_facts(facts, "segment", id, track, str(index), *told)
    await run_in_threadpool(actions.require_wanted, core, actor, id)
    async with received_body(request) as received:
        if received.sha256 != sealed_sha256.lower():
            raise RequestRejected(problem=f"{track}/{index}: the body does not match its checksum")
        created = await run_in_threadpool(
            actions.put_segment,
            core,
            actor,
            id,
            track=track,
            index=index,
            received=received.path,
            sha256=sha256,
            start_s=start_s,
            duration_s=duration_s,
            sealed=True,
        )
        response.status_code = 201 if created else 200
        return SegmentAnswer(track=track, index=index, sha256=sha256.lower(), size=received.size)


@doors.get("/api/recordings/{id}/segments", roles=TECHNICIAN, summary="Segments that have arrived")
def list_segments(id: Id, actor: Actor, core: InCore) -> SegmentsAnswer:
    found = actions.list_segments(core, actor, id)
    return SegmentsAnswer(segments=[SegmentAnswer.of(segment) for segment in found])


@doors.post(
    "/api/recordings/{id}/notes",
    roles=TECHNICIAN,
    summary="Tell what happened while recording; repeating it is safe",
    status_code=201,
    responses={200: {"description": "The same note was there already"}},
    dependencies=INTACT,
)
def add_note(id: Id, asked: NoteRequest, response: Response, actor: Actor, core: InCore) -> NoteAnswer:
    created = actions.add_note(core, actor, id, **asked.model_dump())
    response.status_code = 201 if created else 200
    return NoteAnswer(**asked.model_dump())


@doors.get("/api/recordings/{id}/notes", roles=STAFF, summary="What happened while recording")
def list_notes(id: Id, actor: Actor, core: InCore) -> NotesAnswer:
    return NotesAnswer(notes=[NoteAnswer.of(note) for note in actions.list_notes(core, actor, id)])


@doors.post(
    "/api/recordings/{id}/complete",
    roles=TECHNICIAN,
    summary="Close a recording whose segments have all arrived; its processing begins",
    dependencies=INTACT,
)
def complete(id: Id, asked: CompleteRequest, actor: Actor, core: InCore) -> CaseState:
    tracks = {name: track.model_dump() for name, track in asked.tracks.items()}
    return CaseState.of(
        actions.complete_recording(core, actor, id, tracks=tracks, seconds=asked.seconds, notes=asked.notes)
    )


def incoming_folder(home: Path) -> Path:
    return home.resolve() / "incoming"


def sweep_incoming(home: Path) -> None:
    """Remove uploads that a process which was killed has left behind: they are not sealed yet."""
    for path in incoming_folder(home).glob("*"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > ABANDONED_S:
                path.unlink()


class Received:
    """A body on its way to a private file; ``size`` in bytes, ``sha256`` in hex of what has arrived."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._digest = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def add(self, file: tempfile._TemporaryFileWrapper[bytes], chunk: bytes) -> None:
        self._digest.update(chunk)
        self.size += file.write(chunk)


@contextlib.asynccontextmanager
async def received_body(request: Request) -> AsyncIterator[Received]:
    """The request's body in a file of our own naming, gone when the block ends; never whole in memory."""
    folder = incoming_folder(request.app.state.settings.home)
    limit = request.app.state.settings.web.max_upload_mb * 2**20
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with disk_full_is_named(folder), tempfile.NamedTemporaryFile(dir=folder) as file:
        received = Received(Path(file.name))
        async for chunk in request.stream():
            if received.size + len(chunk) > limit:
                raise HTTPException(413)
            await run_in_threadpool(received.add, file, chunk)
        await run_in_threadpool(file.flush)
        yield received
