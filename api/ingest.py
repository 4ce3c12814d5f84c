"""Taking in files that somebody already has, as the recording of a consultation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from api import actions
from api.core import Core
from archive.models import Case, User, utc_now
from archive.store import sha256_of
from config.errors import RequestRejected
from processing.child import run_alone

MICROPHONE_ROLES = actions.TRACK_ROLES["audio"]
# The first camera shows the room; the next ones are close-ups in this order.
CAMERA_ROLES = actions.TRACK_ROLES["video"]


def plan_tracks(videos: list[Path], audios: Mapping[str, Path]) -> dict[str, tuple[str, str, Path]]:
    """Track name -> (kind, role, file). Raises RequestRejected for too many cameras or an unknown role."""
    if not videos:
        raise RequestRejected(problem="at least one video is needed")
    if len(videos) > len(CAMERA_ROLES):
        raise RequestRejected(problem=f"at most {len(CAMERA_ROLES)} cameras")
    unknown = sorted(set(audios) - set(MICROPHONE_ROLES))
    if unknown:
        raise RequestRejected(problem=f"{unknown[0]} is none of {', '.join(MICROPHONE_ROLES)}")
    cameras = zip(CAMERA_ROLES, videos, strict=False)
    tracks = {f"camera-{role}": ("video", role, path) for role, path in cameras}
    return tracks | {f"mic-{role}": ("audio", role, path) for role, path in audios.items()}


def ingest(
    core: Core,
    actor: User,
    consultation_id: str,
    videos: list[Path],
    audios: Mapping[str, Path],
    progress: Callable[[float], None] = lambda share: None,
) -> Case:
    """Check every file, take all of them in unchanged, and start the processing.

    Nothing is taken in when one of them is refused. Raises a MediaRejected naming the file, or a ConsentRefused.
    """
    tracks = plan_tracks(videos, audios)
    infos = [_probe(core, name, kind, path) for name, (kind, _, path) in tracks.items()]
    rig = {"ingest": {name: {"kind": kind, "role": role} for name, (kind, role, _) in tracks.items()}}
    recording = actions.open_recording(
        core, actor, consultation_id, rig=rig, light=None, started_at=utc_now()
    )
    for done, (name, (_, _, path)) in enumerate(tracks.items()):
        sha256 = sha256_of(path)
        actions.put_segment(
            core,
            actor,
            recording.id,
            track=name,
            index=0,
            received=path,
            sha256=sha256,
            start_s=0.0,
            duration_s=infos[done]["duration_s"],
        )
        progress((done + 1) / len(tracks))
    told = {
        name: {"kind": kind, "role": role, "segments": 1, "whole": True}
        for name, (kind, role, _) in tracks.items()
    }
    seconds = max(info["duration_s"] for info in infos)
    return actions.complete_recording(core, actor, recording.id, tracks=told, seconds=seconds)


def _probe(core: Core, track: str, kind: str, path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise RequestRejected(problem=f"{path.name!r} for {track} is not a file")
    params = {"source": str(path.resolve()), "name": path.name, "kind": kind}
    return run_alone("probe-file", params, core.settings)
